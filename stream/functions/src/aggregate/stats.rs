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
    name: &'static str,
    statistic: Statistic,
    numbers: Vec<f64>,
    /// Second argument of the percentiles, from the first row that has it.
    fraction: Option<f64>,
    /// All values since one was no number; then only an error can come of the group, and it shows them.
    strange: Vec<Value>,
}

impl Sample {
    pub(super) fn new(name: &'static str, statistic: Statistic) -> Sample {
        Sample { name, statistic, numbers: Vec::new(), fraction: None, strange: Vec::new() }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.numbers.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// Sum of squared distances from the mean over `divisor`; 0/0 for the sample variance of one number, which has none.
    fn variance(&self, divisor: f64) -> f64 {
        let mean = self.numbers.iter().sum::<f64>() / self.numbers.len() as f64;
        self.numbers.iter().map(|number| (number - mean) * (number - mean)).sum::<f64>() / divisor
    }

    fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
    }

    fn outside(&self) -> Error {
        Error::call(format!("call func {} error: percentile exec with error: Input is outside of range.", self.name))
    }

    /// The value at `fraction` of the count, or the mean of the two around it; nothing lies before the first.
    fn continuous(&self, fraction: f64) -> Result<f64> {
        let sorted = self.sorted();
        if let [only] = sorted.as_slice() {
            return Ok(*only);
        }
        let percent = fraction * 100.0;
        if percent <= 0.0 || percent > 100.0 {
            return Err(self.outside());
        }
        let position = percent / 100.0 * sorted.len() as f64;
        let index = position as usize;
        if position.fract() == 0.0 {
            Ok(sorted[index - 1])
        } else if position > 1.0 {
            Ok((sorted[index - 1] + sorted[index]) / 2.0)
        } else {
            Err(self.outside())
        }
    }

    /// The first value whose cumulative share reaches the fraction.
    fn discrete(&self, fraction: f64) -> Result<f64> {
        let sorted = self.sorted();
        let percent = fraction * 100.0;
        if !(0.0..=100.0).contains(&percent) {
            return Err(self.outside());
        }
        let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
        Ok(sorted[rank.saturating_sub(1).min(sorted.len() - 1)])
    }
}

impl Aggregate for Sample {
    fn add(&mut self, args: &Args<'_>) -> Result<()> {
        self.fraction = self.fraction.or_else(|| args.get(1).and_then(|arg| arg.as_f64()));
        match (args[0].as_f64(), &*args[0]) {
            (_, Value::Nil) if self.strange.is_empty() => {}
            (Some(number), _) if self.strange.is_empty() => self.numbers.push(number),
            (_, other) => {
                if self.strange.is_empty() {
                    self.strange = self.numbers.iter().map(|number| Value::Float(*number)).collect();
                }
                self.strange.push(other.clone());
            }
        }
        Ok(())
    }

    fn result(&self) -> Result<Value> {
        if !self.strange.is_empty() {
            let all = Value::array(self.strange.clone());
            return Err(Error::call(format!(
                "call func {} error: requires float64 slice but found []interface {{}}({})",
                self.name,
                GoText(&all)
            )));
        }
        let count = self.numbers.len() as f64;
        if self.numbers.is_empty() {
            return Ok(Value::Nil);
        }
        let fraction = self.fraction.unwrap_or_default();
        Ok(Value::Float(match self.statistic {
            Statistic::Median => self.median(),
            Statistic::Var => self.variance(count),
            Statistic::StdDev => self.variance(count).sqrt(),
            Statistic::VarSample => self.variance(count - 1.0),
            Statistic::StdDevSample => self.variance(count - 1.0).sqrt(),
            Statistic::Continuous => self.continuous(fraction)?,
            Statistic::Discrete => self.discrete(fraction)?,
        }))
    }

    fn save(&self) -> Value {
        let numbers = self.numbers.iter().map(|number| Value::Float(*number)).collect();
        Value::array(vec![Value::array(numbers), self.fraction.into(), Value::array(self.strange.clone())])
    }

    fn load(&mut self, state: &Value) {
        if let Some([Value::Array(numbers), fraction, Value::Array(strange)]) = state.as_array() {
            self.numbers = numbers.iter().filter_map(Value::as_f64).collect();
            self.fraction = fraction.as_f64();
            self.strange = strange.to_vec();
        }
    }
}
