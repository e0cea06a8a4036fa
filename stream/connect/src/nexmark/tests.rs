//! Events in the right numbers, and only those that are wanted.

use edgeward_engine::{Map, Value};
use proptest::prelude::*;
use serde_json::json;

use super::events::{Kind, event};
use crate::Hosts;
use crate::testing::start;

const STREAM: &str = "CREATE STREAM s () WITH (DATASOURCE=\"\")";

fn number(map: &Map, key: &str) -> i64 {
    map.get(key).and_then(Value::as_i64).unwrap()
}

proptest! {
    #[test]
    fn events_name_what_there_is(place in 0u64..1_000_000) {
        let row = event(place, 5);
        prop_assert_eq!(&row, &event(place, 5));
        let round = i64::try_from(place / 50).unwrap();
        let (persons, auctions) = (1_000..=1_000 + round, 1_000..1_000 + 3 * (round + 1));
        let of = |name: &str| row.get(name).and_then(Value::as_map).unwrap().clone();
        match Kind::of(place) {
            Kind::Person => prop_assert_eq!(number(&of("person"), "id"), 1_000 + round),
            Kind::Auction => {
                prop_assert!(auctions.contains(&number(&of("auction"), "id")));
                prop_assert!(persons.contains(&number(&of("auction"), "seller")));
                prop_assert!(number(&of("auction"), "reserve") >= number(&of("auction"), "initialBid"));
            }
            Kind::Bid => {
                prop_assert!(auctions.contains(&number(&of("bid"), "auction")));
                prop_assert!(persons.contains(&number(&of("bid"), "bidder")));
            }
        }
    }
}

#[tokio::test]
async fn only_what_is_wanted_is_made() {
    let properties = json!({"qps": 1000, "excludeBid": true, "excludePerson": true, "bufferSize": 5});
    let mut running = start("nexmark", STREAM, &properties, &Hosts::default()).unwrap();
    for id in 1_000..1_010 {
        let row: serde_json::Value = serde_json::from_str(&running.row().await).unwrap();
        assert_eq!((&row["event_type"], &row["auction"]["id"]), (&json!(1), &json!(id)));
    }
    running.stop().await;
}
