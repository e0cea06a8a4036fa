//! The custom resources of this room, and the labels and annotations OpenYurt gives them.

use edgeward_control::Cache;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::{Api, Client};

use crate::Context;

pub(crate) const POOL_LABEL: &str = "apps.openyurt.io/nodepool";
pub(crate) const POOL_NAME: &str = "apps.openyurt.io/pool-name";
pub(crate) const REVISION: &str = "apps.openyurt.io/controller-revision-hash";
pub(crate) const REF_SET: &str = "apps.openyurt.io/ref-yurtappset";
pub(crate) const REF_POOL: &str = "apps.openyurt.io/ref-nodepool";
pub(crate) const PATCH: &str = "apps.openyurt.io/patch";
pub(crate) const PREVIOUS: &str = "nodepool.openyurt.io/previous-attributes";
pub(crate) const POOL_TYPE: &str = "nodepool.openyurt.io/type";
pub(crate) const AUTONOMY: &str = "openyurt.io/autonomy";
/// What a child was last made from; a child that shows the present value needs no write.
pub(crate) const APPLIED: &str = "edgeward.io/applied-hash";

/// The two kinds that make one workload per pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    UnitedDeployment,
    YurtAppSet,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UnitedDeployment => "UnitedDeployment",
            Self::YurtAppSet => "YurtAppSet",
        }
    }

    fn resource(self) -> ApiResource {
        match self {
            Self::UnitedDeployment => resource("v1alpha1", "UnitedDeployment", "uniteddeployments"),
            Self::YurtAppSet => resource("v1beta1", "YurtAppSet", "yurtappsets"),
        }
    }

    pub(crate) fn all(self, client: &Client) -> Api<DynamicObject> {
        Api::all_with(client.clone(), &self.resource())
    }

    pub(crate) fn namespaced(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &self.resource())
    }

    pub(crate) fn cache(self, context: &Context) -> &Cache<DynamicObject> {
        match self {
            Self::UnitedDeployment => &context.united,
            Self::YurtAppSet => &context.app_sets,
        }
    }
}

pub(crate) fn node_pools(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource("v1beta2", "NodePool", "nodepools"))
}

fn resource(version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("apps.openyurt.io", version, kind), plural)
}
