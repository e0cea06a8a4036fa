//! `nop` takes everything, also what cannot be printed.

use edgeward_engine::{Emission, OutRow, Value};
use edgeward_service::Tasks;

use crate::{Hosts, Props, SinkRequest, registry};

#[tokio::test]
async fn takes_everything() {
    let row: edgeward_engine::Map = [("a".into(), Value::Float(f64::NAN))].into();
    let emission = Emission::of_rows(0, vec![OutRow::Free(row.into())]);
    for kind in ["nop", "logToMemory"] {
        let request = SinkRequest { rule: "r".into(), props: Props::default(), tasks: Tasks::root("test") };
        let mut input = registry::sink(kind, &request, &Hosts::default()).unwrap();
        assert!(input.sink.send(&emission).await.is_ok());
        assert_eq!((input.kind.as_str(), input.buffer_length, input.omit_if_empty), (kind, 1_024, false));
    }
}
