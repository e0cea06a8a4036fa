//! `edgeward simulate`: stand-ins for devices.

use edgeward_drivers::simulate::{ModbusOptions, MqttOptions, Options, Payload, Simulation, Source, Speed, Totals};
use edgeward_mqtt::QoS;
use edgeward_service::Tasks;
use serde_json::json;

use crate::cli::{SimulateCommand, SimulateModbusOptions, SimulateMqttOptions};
use crate::output;

/// Starts the simulation. When a file has been replayed and acknowledged it prints its totals and ends the program.
pub(crate) async fn serve(command: SimulateCommand, tasks: Tasks) -> anyhow::Result<()> {
    let options = match command {
        SimulateCommand::Mqtt(options) => mqtt(options)?,
        SimulateCommand::Modbus(options) => modbus(options),
    };
    let simulation = Simulation::start(options, &tasks).await?;
    let root = tasks.clone();
    tasks.spawn("totals", async move {
        let totals = simulation.finished().await;
        output::line(render(totals));
        root.token().cancel();
    });
    Ok(())
}

/// The totals as one line of JSON, for people and programs alike.
fn render(totals: Totals) -> serde_json::Value {
    json!({
        "sent": totals.sent,
        "acknowledged": totals.acknowledged,
        "resent": totals.resent,
        "desired": totals.desired,
        "connects": totals.connects,
        "answered": totals.answered,
    })
}

fn source(csv: Option<std::path::PathBuf>) -> Source {
    csv.map_or(Source::Wave, Source::Csv)
}

fn speed(rate: f64) -> Speed {
    if rate == 0.0 { Speed::AsAcknowledged } else { Speed::RowsPerSecond(rate) }
}

fn mqtt(options: SimulateMqttOptions) -> anyhow::Result<Options> {
    let named = options.devices.split_once('/');
    let (namespace, prefix) =
        named.ok_or_else(|| anyhow::anyhow!("--devices {:?} must be NAMESPACE/PREFIX", options.devices))?;
    Ok(Options {
        mqtt: Some(MqttOptions {
            broker: options.broker.to_string(),
            devices: options.count,
            namespace: namespace.to_owned(),
            prefix: prefix.to_owned(),
            payload: options.topic.map_or(Payload::Twin, |topic| Payload::Telemetry { topic }),
            qos: if options.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce },
            ..MqttOptions::default()
        }),
        modbus: None,
        source: source(options.csv),
        speed: speed(options.rate),
    })
}

fn modbus(options: SimulateModbusOptions) -> Options {
    Options {
        mqtt: None,
        modbus: Some(ModbusOptions { listen: options.listen, units: 1..=options.count }),
        source: source(options.csv),
        speed: speed(options.rate),
    }
}
