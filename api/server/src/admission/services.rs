//! Services: cluster IPs and the fields that go with them.

use edgeward_objects::{ApiError, Cause, Object};
use serde_json::{Value, json};

use super::addresses::{Refusal, Reservation, of_service};
use crate::call::Call;

const IP: [&str; 2] = ["spec", "clusterIP"];

/// A new Service gets an address unless it is headless or an alias of an outside name.
pub(super) fn begin(call: &Call, object: &mut Object) -> Result<Reservation, ApiError> {
    object.set(&["status", "loadBalancer"], json!({}));
    if !wants_address(object) {
        fill(object);
        return Ok(Reservation::none());
    }
    let reservation = reserve(call, object)?;
    fill(object);
    Ok(reservation)
}

/// An address stays for the life of a Service; only a change of its type takes or gives one.
pub(super) fn change(call: &Call, old: &Object, new: &mut Object) -> Result<Reservation, ApiError> {
    let before = old.get_str(&IP).unwrap_or_default().to_owned();
    let asked = new.get_str(&IP).unwrap_or_default().to_owned();
    let reservation = match (wants_address(old), wants_address(new)) {
        (true, true) if asked.is_empty() => {
            new.set(&IP, before);
            Reservation::none()
        }
        (true, true) if asked == before => Reservation::none(),
        (false, false) if asked.is_empty() && !before.is_empty() => {
            new.set(&IP, before);
            Reservation::none()
        }
        (false, false) if asked == before => Reservation::none(),
        (true, false) if new.get_str(&["spec", "type"]) == Some("ExternalName") => {
            new.remove(&IP);
            new.remove(&["spec", "clusterIPs"]);
            Reservation::none().and_free(&call.server.addresses, of_service(old))
        }
        (false, true) if before.is_empty() => reserve(call, new)?,
        _ => {
            let cause = Cause::invalid("spec.clusterIPs[0]", &json!([asked]), "may not change once set");
            return Err(call.invalid(old.name(), vec![cause]));
        }
    };
    fill(new);
    Ok(reservation)
}

fn wants_address(object: &Object) -> bool {
    object.get_str(&["spec", "type"]) != Some("ExternalName") && object.get_str(&IP) != Some("None")
}

fn reserve(call: &Call, object: &mut Object) -> Result<Reservation, ApiError> {
    let asked = object.get_str(&IP).unwrap_or_default().to_owned();
    if asked.is_empty() {
        let (address, reservation) = call
            .server
            .addresses
            .any()
            .map_err(|_| ApiError::internal("failed to allocate a serviceIP: range is full"))?;
        object.set(&IP, address.to_string());
        return Ok(reservation);
    }
    call.server.addresses.take(&asked).map_err(|refusal| {
        let detail = match refusal {
            Refusal::Taken => "failed to allocate IP ".to_owned() + &asked + ": provided IP is already allocated",
            Refusal::Outside(network) => format!("failed to allocate IP {asked}: the provided IP is not in the valid range. The range of valid IPs is {network}"),
            Refusal::NoAddress | Refusal::Exhausted => "must be empty, 'None', or a valid IP address".to_owned(),
        };
        let cause = Cause::invalid("spec.clusterIPs", &json!([asked]), &detail);
        call.invalid(object.name(), vec![cause])
    })
}

/// The fields upstream derives from the type and the address.
fn fill(object: &mut Object) {
    let external = object.get_str(&["spec", "type"]) == Some("ExternalName");
    if !external {
        if let Some(ip) = object.get_str(&IP).map(str::to_owned) {
            object.set(&["spec", "clusterIPs"], json!([ip]));
        }
        for (key, value) in [
            ("ipFamilies", json!(["IPv4"])),
            ("ipFamilyPolicy", json!("SingleStack")),
            ("internalTrafficPolicy", json!("Cluster")),
        ] {
            if object.get(&["spec", key]).is_none() {
                object.set(&["spec", key], value);
            }
        }
    }
    if matches!(object.get_str(&["spec", "type"]), Some("NodePort" | "LoadBalancer"))
        && object.get(&["spec", "externalTrafficPolicy"]).is_none()
    {
        object.set(&["spec", "externalTrafficPolicy"], Value::from("Cluster"));
    }
}
