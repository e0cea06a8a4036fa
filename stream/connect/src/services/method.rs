//! What a function calls: the methods of a protobuf schema, with their HTTP rules, or names without a schema.

use std::collections::BTreeMap;

use http::Method as HttpMethod;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value as Proto};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::definition::{Interface, SchemaType};
use super::package::ServicePackage;
use super::refused;
use crate::ConnectError;
use crate::schema::nested_too_deep;

/// The part of Google's HTTP annotations that services use (`google/api/http.proto`, field numbers of the public interface).
const HTTP: &str = r#"syntax = "proto3";
package google.api;
message Http { repeated HttpRule rules = 1; bool fully_decode_reserved_expansion = 2; }
message HttpRule {
  string selector = 1;
  oneof pattern { string get = 2; string put = 3; string post = 4; string delete = 5; string patch = 6; CustomHttpPattern custom = 8; }
  string body = 7;
  repeated HttpRule additional_bindings = 11;
  string response_body = 12;
}
message CustomHttpPattern { string kind = 1; string path = 2; }
"#;
const ANNOTATIONS: &str = r#"syntax = "proto3";
package google.api;
import "google/api/http.proto";
import "google/protobuf/descriptor.proto";
extend google.protobuf.MethodOptions { HttpRule http = 72295728; }
"#;

/// What is called.
#[derive(Debug, Clone)]
pub(super) enum Method {
    /// Arguments are the HTTP method, the path and the body.
    Schemaless(String),
    /// A method of a schema.
    Typed { method: MethodDescriptor, rule: HttpRule },
}

/// How a method is called over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpRule {
    pub(super) method: HttpMethod,
    /// With `{field}` where a field of the request goes.
    pub(super) path: String,
    /// `*`, the name of a field, or empty for none.
    pub(super) body: String,
}

/// The functions of an interface by name.
pub(super) fn methods(
    interface: &Interface,
    package: &ServicePackage,
) -> Result<BTreeMap<String, Method>, ConnectError> {
    if interface.schema_type == SchemaType::Schemaless {
        let called = |service: &String, name: &String| if service.is_empty() { name.clone() } else { service.clone() };
        let functions = interface.functions.iter();
        return Ok(functions
            .map(|map| (map.name.clone(), Method::Schemaless(called(&map.service_name, &map.name))))
            .collect());
    }
    let pool = compile(&interface.schema_file, package)?;
    let mut functions = BTreeMap::new();
    let own = |method: &MethodDescriptor| method.parent_file().name() == interface.schema_file;
    let all = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).filter(own);
    for method in all {
        if method.is_client_streaming() || method.is_server_streaming() {
            tracing::warn!(method = method.full_name(), "streaming methods are no functions; it is left out");
            continue;
        }
        let mapped = interface
            .functions
            .iter()
            .find(|map| map.service_name == method.name() || map.service_name == method.full_name());
        let name = mapped.map_or(method.name(), |map| map.name.as_str()).to_owned();
        let rule = http_rule(&method).unwrap_or_else(|| HttpRule {
            method: HttpMethod::POST,
            path: format!("/{}", method.name()),
            body: "*".into(),
        });
        functions.insert(name, Method::Typed { method, rule });
    }
    if functions.is_empty() {
        return Err(refused(format!("{} defines no methods", interface.schema_file)));
    }
    Ok(functions)
}

fn compile(file: &str, package: &ServicePackage) -> Result<DescriptorPool, ConnectError> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Texts(package.0.clone()));
    resolver.add(GoogleFileResolver::new());
    let bad = |reason: String| refused(format!("fail to parse schema file {file}: {reason}"));
    if package.0.values().any(|text| nested_too_deep(text)) {
        return Err(bad("nested too deep".into()));
    }
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_file(file).map_err(|error| bad(error.to_string()))?;
    Ok(compiler.descriptor_pool())
}

/// The schemas of a package.
struct Texts(BTreeMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, path: &str) -> Result<File, protox::Error> {
        let found = self.0.get(&format!("schemas/{path}")).or_else(|| self.0.get(path)).map(String::as_str);
        let text = found.or(match path {
            "google/api/http.proto" => Some(HTTP),
            "google/api/annotations.proto" => Some(ANNOTATIONS),
            _ => None,
        });
        File::from_source(path, text.ok_or_else(|| protox::Error::file_not_found(path))?)
    }
}

/// The `google.api.http` option of a method.
fn http_rule(method: &MethodDescriptor) -> Option<HttpRule> {
    let extension = method.parent_pool().get_extension_by_name("google.api.http")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    let Proto::Message(rule) = options.get_extension(&extension).into_owned() else { return None };
    read_rule(&rule)
}

fn read_rule(rule: &DynamicMessage) -> Option<HttpRule> {
    let text = |name: &str| rule.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned));
    let methods = [
        ("get", HttpMethod::GET),
        ("put", HttpMethod::PUT),
        ("post", HttpMethod::POST),
        ("delete", HttpMethod::DELETE),
        ("patch", HttpMethod::PATCH),
    ];
    let found = methods.into_iter().find_map(|(name, method)| {
        let path = text(name).filter(|path| !path.is_empty())?;
        Some((method, path))
    });
    let (method, path) = found?;
    Some(HttpRule { method, path, body: text("body").unwrap_or_default() })
}
