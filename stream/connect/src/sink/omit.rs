//! `omitIfEmpty` where each row is a message of its own: rows without columns are not sent.

use edgeward_engine::{Connection, Emission, OutRow, Sink, SinkError};
use futures::future::BoxFuture;

use super::SinkOptions;

/// A sink that never sees an empty row.
pub(crate) struct Omitting(Box<dyn Sink>);

impl Omitting {
    /// The sink itself unless the options ask for both.
    pub(crate) fn before(sink: Box<dyn Sink>, options: &SinkOptions) -> Box<dyn Sink> {
        if options.omit_if_empty && options.send_single { Box::new(Omitting(sink)) } else { sink }
    }
}

impl SinkOptions {
    /// The emission without empty rows; none if there are none, or if they are sent.
    pub(super) fn without_empty_rows(&self, emission: &Emission) -> Option<Emission> {
        let omits = self.omit_if_empty && self.send_single;
        (omits && emission.rows.iter().any(OutRow::is_empty)).then(|| filled(emission))
    }
}

fn filled(emission: &Emission) -> Emission {
    let rows = emission.rows.iter().filter(|row| !row.is_empty()).cloned().collect();
    // The whole one holds the acknowledgements until it was sent.
    Emission { is_error: emission.is_error, ..Emission::of_rows(emission.at, rows) }
}

impl Sink for Omitting {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        if !emission.rows.iter().any(OutRow::is_empty) {
            return self.0.send(emission);
        }
        Box::pin(async move {
            let filled = filled(emission);
            if filled.rows.is_empty() { Ok(()) } else { self.0.send(&filled).await }
        })
    }

    fn open(&mut self) {
        self.0.open();
    }

    fn close<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        self.0.close()
    }

    fn connection(&self) -> Option<Connection> {
        self.0.connection()
    }
}
