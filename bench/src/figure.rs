//! One figure beside its aim and its peer's.

use std::time::Duration;

/// A measured value, in the unit that its name says.
pub(crate) struct Figure {
    what: String,
    ours: f64,
    unit: &'static str,
    aim: String,
    peer: Option<(f64, String)>,
    more_is_better: bool,
}

impl Figure {
    /// A figure of which less is better.
    pub(crate) fn new(what: &str, ours: f64, unit: &'static str) -> Self {
        Self { what: what.to_owned(), ours, unit, aim: String::new(), peer: None, more_is_better: false }
    }

    /// A figure of which more is better.
    pub(crate) fn rate(what: &str, ours: f64, unit: &'static str) -> Self {
        Self { more_is_better: true, ..Self::new(what, ours, unit) }
    }

    /// What the task asks for.
    pub(crate) fn aim(self, aim: &str) -> Self {
        Self { aim: aim.to_owned(), ..self }
    }

    /// The peer's figure in the same unit, and who that is.
    pub(crate) fn peer(self, value: f64, who: &str) -> Self {
        Self { peer: Some((value, who.to_owned())), ..self }
    }

    /// How many times better than the peer we are.
    fn ratio(&self) -> String {
        match &self.peer {
            Some((peer, _)) if self.ours > 0.0 && *peer > 0.0 => {
                let ratio = if self.more_is_better { self.ours / peer } else { peer / self.ours };
                format!("{ratio:.1}x")
            }
            _ => String::new(),
        }
    }

    fn row(&self) -> [String; 5] {
        let peer = self.peer.as_ref().map(|(value, who)| format!("{} ({who})", number(*value))).unwrap_or_default();
        [format!("{}, {}", self.what, self.unit), number(self.ours), self.aim.clone(), peer, self.ratio()]
    }
}

fn number(value: f64) -> String {
    match value {
        value if value >= 1_000.0 => {
            let digits = format!("{value:.0}");
            let group = |(index, digit): (usize, char)| {
                let comma = index > 0 && (digits.len() - index).is_multiple_of(3);
                [comma.then_some(','), Some(digit)].into_iter().flatten()
            };
            digits.chars().enumerate().flat_map(group).collect()
        }
        value if value >= 10.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}

/// Prints the table: the only output of the program besides its progress.
#[allow(clippy::print_stdout)]
pub(crate) fn print(figures: &[Figure]) {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["FIGURE", "OURS", "AIM", "PEER", "BETTER BY"]);
    for figure in figures {
        table.add_row(figure.row());
    }
    println!("{table}");
}

/// The value below which `share` of all are.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get(((last as f64) * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// The middle one.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    percentile(values, 0.5)
}

/// A time in milliseconds.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Bytes in megabytes.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
