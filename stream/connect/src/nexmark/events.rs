//! The events: of fifty one is a person, three are auctions, the rest are bids. The same number makes the same event.

use std::sync::Arc;

use edgeward_engine::{Map, Value};

/// Events of one round, and how many of them are persons and auctions.
const ROUND: u64 = 50;
const PERSONS: u64 = 1;
const AUCTIONS: u64 = 3;
/// Identifiers begin here, as in the benchmark.
const FIRST_ID: u64 = 1_000;
/// Bids and auctions name one of so many of the newest auctions and persons.
const RECENT: u64 = 100;
/// How long an auction lasts, in ms.
const LASTS: i64 = 60_000;

const FIRST: [&str; 8] = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie"];
const LAST: [&str; 6] = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton"];
const PLACES: [(&str, &str); 6] =
    [("Phoenix", "AZ"), ("Los Angeles", "CA"), ("Boise", "ID"), ("Portland", "OR"), ("Bend", "OR"), ("Seattle", "WA")];
const CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Person,
    Auction,
    Bid,
}

impl Kind {
    /// The kind of the event with this number.
    pub(super) fn of(number: u64) -> Kind {
        match number % ROUND {
            place if place < PERSONS => Kind::Person,
            place if place < PERSONS + AUCTIONS => Kind::Auction,
            _ => Kind::Bid,
        }
    }
}

/// The event with this number, at a time in ms: `{"event_type": 0|1|2, "person"|"auction"|"bid": {…}}`.
pub(super) fn event(number: u64, at: i64) -> Arc<Map> {
    let mut dice = Dice(number);
    let (round, place) = (number / ROUND, number % ROUND);
    let (kind, name, body) = match Kind::of(number) {
        Kind::Person => (0, "person", person(FIRST_ID + round, at, &mut dice)),
        Kind::Auction => (1, "auction", auction(FIRST_ID + round * AUCTIONS + place - PERSONS, round, at, &mut dice)),
        Kind::Bid => (2, "bid", bid(round, at, &mut dice)),
    };
    Arc::new(Map::from([("event_type".into(), Value::Int(kind)), (name.into(), Value::map(body))]))
}

fn person(id: u64, at: i64, dice: &mut Dice) -> Map {
    let (first, last) = (dice.pick(&FIRST), dice.pick(&LAST));
    let (city, state) = dice.pick(&PLACES);
    let card = format!(
        "{:04} {:04} {:04} {:04}",
        dice.below(10_000),
        dice.below(10_000),
        dice.below(10_000),
        dice.below(10_000)
    );
    Map::from([
        ("id".into(), int(id)),
        ("name".into(), Value::str(format!("{first} {last}"))),
        ("emailAddress".into(), Value::str(format!("{}@{}.com", first.to_lowercase(), last.to_lowercase()))),
        ("creditCard".into(), Value::str(card)),
        ("city".into(), Value::str(city)),
        ("state".into(), Value::str(state)),
        ("dateTime".into(), Value::Int(at)),
    ])
}

fn auction(id: u64, round: u64, at: i64, dice: &mut Dice) -> Map {
    let start = 1 + dice.below(10_000);
    Map::from([
        ("id".into(), int(id)),
        ("itemName".into(), Value::str(format!("item {}", dice.below(10_000)))),
        ("description".into(), Value::str(format!("description {}", dice.below(10_000)))),
        ("initialBid".into(), int(start)),
        ("reserve".into(), int(start + dice.below(10_000))),
        ("dateTime".into(), Value::Int(at)),
        ("expires".into(), Value::Int(at.saturating_add(LASTS))),
        ("seller".into(), int(recent(round, dice))),
        ("category".into(), int(10 + dice.below(5))),
    ])
}

fn bid(round: u64, at: i64, dice: &mut Dice) -> Map {
    let channel = dice.pick(&CHANNELS);
    Map::from([
        ("auction".into(), int(recent(round * AUCTIONS + AUCTIONS - 1, dice))),
        ("bidder".into(), int(recent(round, dice))),
        ("price".into(), int(1 + dice.below(10_000_000))),
        ("channel".into(), Value::str(channel)),
        ("url".into(), Value::str(format!("https://www.nexmark.com/{}/item.htm", channel.to_lowercase()))),
        ("dateTime".into(), Value::Int(at)),
    ])
}

/// One of the newest identifiers when `newest` is the number of the last one.
fn recent(newest: u64, dice: &mut Dice) -> u64 {
    FIRST_ID + newest - dice.below(newest.min(RECENT - 1) + 1)
}

fn int(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Chance that can be repeated (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        // Below the length, which is at least 1 and fits.
        of[self.below(of.len() as u64) as usize]
    }
}
