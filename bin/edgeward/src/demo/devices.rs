//! Devices report: twenty per factory, half of them MQTT clients, half Modbus slaves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::cluster::apply_text;
use super::stage::{Progress, eventually};
use super::world::{FACTORIES, Factory, NAMESPACE, World};

const MODELS: &str = include_str!("../../../../examples/factory/manifests/models.yaml");
const OF_EACH_KIND: usize = 10;

pub(super) async fn report(world: &mut World, progress: Progress) -> anyhow::Result<String> {
    let mut manifest = String::new();
    for factory in &world.factories {
        write_devices(&mut manifest, factory)?;
    }
    apply_text(world, "devices.yaml", &manifest).await?;
    progress.say("devices without a model are accepted; the models come now");
    apply_text(world, "models.yaml", MODELS).await?;
    for index in 0..FACTORIES {
        start_simulators(world, index)?;
    }
    let all = FACTORIES * 2 * OF_EACH_KIND;
    let first = eventually("all devices being online", Duration::from_secs(40), async || {
        world.check()?;
        let devices = devices(world).await?;
        let online = devices.values().filter(|(state, values)| state == "online" && !values.is_empty()).count();
        progress.say(format!("{online} of {all} devices online"));
        Ok((online == all).then_some(devices))
    });
    let first = first.await?;
    let moved = eventually("the values of all devices moving", Duration::from_secs(20), async || {
        let now = devices(world).await?;
        let moved = first.iter().filter(|(name, was)| now.get(*name).is_some_and(|is| is.1 != was.1)).count();
        Ok((moved == all).then_some(()))
    });
    moved.await?;
    let table = world.kubectl()?.run(&["get", "devices", "-n", NAMESPACE]).await?;
    for line in table.lines().take(4) {
        progress.keep(line.trim_end());
    }
    set_speed(world, &progress).await?;
    Ok(format!("{all} devices online and moving; a desired speed reached its drive and was reported back"))
}

/// State and values of each device, as kubectl shows them.
async fn devices(world: &World) -> anyhow::Result<BTreeMap<String, (String, String)>> {
    let list = world.kubectl()?.get(&["devices", "-n", NAMESPACE]).await?;
    let items = list.get("items").and_then(Value::as_array).context("a list")?;
    let text = |item: &Value, path: &str| item.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let entry =
        |item: &Value| (text(item, "/metadata/name"), (text(item, "/status/state"), text(item, "/status/values")));
    Ok(items.iter().map(entry).collect())
}

/// A desired value from kubectl to the register of a slave, and back as a reported value.
async fn set_speed(world: &World, progress: &Progress) -> anyhow::Result<()> {
    let kubectl = world.kubectl()?;
    let device = format!("{}-drive-1", world.factories[0].name);
    progress.say(format!("kubectl patch device {device}: speed 1450"));
    let patch = r#"[{"op": "add", "path": "/spec/properties/1/desired", "value": {"value": "1450"}}]"#;
    kubectl.run(&["patch", "device", &device, "-n", NAMESPACE, "--type=json", "-p", patch]).await?;
    eventually("the drive reporting its new speed", Duration::from_secs(15), async || {
        let device = kubectl.get(&["device", &device, "-n", NAMESPACE]).await?;
        let values = device.pointer("/status/values").and_then(Value::as_str).unwrap_or_default();
        Ok(values.contains("speed=1450").then_some(()))
    })
    .await
}

fn write_devices(out: &mut String, factory: &Factory) -> anyhow::Result<()> {
    let name = &factory.name;
    for number in 1..=OF_EACH_KIND {
        writeln!(
            out,
            "---
apiVersion: devices.kubeedge.io/v1beta1
kind: Device
metadata:
  name: {name}-sensor-{number}
  namespace: {NAMESPACE}
spec:
  deviceModelRef: {{name: mqtt-sensor}}
  nodeName: {name}
  protocol: {{protocolName: mqtt}}
  properties:
  - name: temperature
    reportToCloud: true"
        )?;
        let modbus = factory.modbus();
        writeln!(
            out,
            "---
apiVersion: devices.kubeedge.io/v1beta1
kind: Device
metadata:
  name: {name}-drive-{number}
  namespace: {NAMESPACE}
spec:
  deviceModelRef: {{name: modbus-drive}}
  nodeName: {name}
  protocol:
    protocolName: modbus
    configData: {{communicateMode: TCP, ip: {}, port: {}, slaveID: {number}}}
  properties:
  - name: temperature
    collectCycle: 1000
    reportCycle: 1000
    reportToCloud: true
    visitors:
      protocolName: modbus
      configData: {{register: InputRegister, offset: 0, limit: 2}}
  - name: speed
    collectCycle: 1000
    reportCycle: 1000
    reportToCloud: true
    visitors:
      protocolName: modbus
      configData: {{register: HoldingRegister, offset: 3, limit: 1}}",
            modbus.ip(),
            modbus.port()
        )?;
    }
    Ok(())
}

fn start_simulators(world: &mut World, index: usize) -> anyhow::Result<()> {
    let factory = &world.factories[index];
    let (name, mqtt, modbus) = (factory.name.clone(), factory.mqtt(), factory.modbus());
    ensure!(OF_EACH_KIND <= 200, "slaves have one-byte addresses");
    let sensors = [
        "mqtt".to_owned(),
        format!("--broker={mqtt}"),
        format!("--devices={NAMESPACE}/{name}-sensor"),
        format!("--count={OF_EACH_KIND}"),
        "--rate=1".to_owned(),
    ];
    // The same sensors also publish plain readings for the rules.
    let readings = [
        "mqtt".to_owned(),
        format!("--broker={mqtt}"),
        format!("--devices={NAMESPACE}/{name}-reading"),
        format!("--count={OF_EACH_KIND}"),
        "--topic=factory/sensors/{device}".to_owned(),
        "--rate=2".to_owned(),
    ];
    let drives =
        ["modbus".to_owned(), format!("--listen={modbus}"), format!("--count={OF_EACH_KIND}"), "--rate=1".to_owned()];
    world.simulate(index, "sensors", &sensors)?;
    world.simulate(index, "readings", &readings)?;
    world.simulate(index, "drives", &drives)
}
