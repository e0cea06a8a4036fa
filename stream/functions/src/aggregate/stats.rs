//! median, stddev(s), var(s), percentile_cont, percentile_disc: they keep the group's numbers.

use super::Aggregate;
use crate::Value;
use crate::error::{Error, Result};
use crate::format::GoText;
use crate::registry::Args;

/// What is computed at the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Statistic {
    Median,
    StdDev,
    StdDevSample,
    Var,
    VarSample,
    Continuous,
    Discrete,
}

/// The numbers of a group.
#[derive(Debug)]
pub(super) struct Sample {
    statistic: Statistic,
    numbers: Vec<f64>,
    /// Second argument of the percentiles.
    fraction: f64,
}

impl Sample {
    pub(super) fn new(statistic: Statistic) -> Sample {
        Sample { statistic, numbers: Vec::new(), fraction: 0.0 }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.numbers.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// Sum of squared distances from the mean over `divisor`.
    fn variance(&self, divisor: f64) -> f64 {
        let mean = self.numbers.iter().sum::<f64>() / self.numbers.len() as f64;
        self.numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / divisor
    }

    fn percentile(&self) -> Result<f64> {
        if !(0.0..=1.0).contains(&self.fraction) {
            return Err(Error::call(format!("invalid percentile {}, it must be between 0 and 1", self.fraction)));
        }
        let sorted = self.sorted();
        let last = sorted.len() - 1;
        if self.statistic == Statistic::Discrete {
            // The first value whose cumulative share reaches the fraction.
            let rank = (self.fraction * sorted.len() as f64).ceil() as usize;
            return Ok(sorted[rank.saturating_sub(1).min(last)]);
        }
        let position = self.fraction * last as f64;
        let below = position.floor() as usize;
        let above = (below + 1).min(last);
        Ok(sorted[below] + (sorted[above] - sorted[below]) * position.fract())
    }
}

impl Aggregate for Sample {
    fn add(&mut self, args: &Args<'_>) -> Result<()> {
        if let Some(fraction) = args.get(1).and_then(|arg| arg.as_f64()) {
            self.fraction = fraction;
        }
        if args[0].is_nil() {
            return Ok(());
        }
        let value = &*args[0];
        let number = value.as_f64().ok_or_else(|| {
            Error::call(format!("requires float64 but found {}({})", value.type_name(), GoText(value)))
        })?;
        self.numbers.push(number);
        Ok(())
    }

    fn result(&self) -> Result<Value> {
        let count = self.numbers.len() as f64;
        if self.numbers.is_empty() {
            return Ok(Value::Nil);
        }
        Ok(Value::Float(match self.statistic {
            Statistic::Median => {
                let sorted = self.sorted();
                let middle = sorted.len() / 2;
                if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
            }
            Statistic::Var => self.variance(count),
            Statistic::StdDev => self.variance(count).sqrt(),
            // One number has no sample variance.
            Statistic::VarSample | Statistic::StdDevSample if self.numbers.len() < 2 => return Ok(Value::Nil),
            Statistic::VarSample => self.variance(count - 1.0),
            Statistic::StdDevSample => self.variance(count - 1.0).sqrt(),
            Statistic::Continuous | Statistic::Discrete => self.percentile()?,
        }))
    }

    fn save(&self) -> Value {
        Value::array(self.numbers.iter().chain([&self.fraction]).map(|number| Value::Float(*number)).collect())
    }

    fn load(&mut self, state: &Value) {
        let mut numbers: Vec<f64> = state.as_array().unwrap_or_default().iter().filter_map(Value::as_f64).collect();
        self.fraction = numbers.pop().unwrap_or_default();
        self.numbers = numbers;
    }
}
