//! Windows in GROUP BY.

use super::Parser;
use crate::ast::{Expr, TimeUnit, Window, WindowKind};
use crate::error::{Result, SqlError};
use crate::lexer::{Keyword, Kind};

/// One argument of a window call.
enum Argument {
    Unit(TimeUnit),
    Expr(Expr),
}

impl Parser<'_> {
    /// A window, if one stands here.
    pub(super) fn window(&mut self) -> Result<Option<Window>> {
        let Kind::Ident(name, false) = self.peek() else { return Ok(None) };
        let name = name.to_ascii_lowercase();
        if !name.ends_with("window") || *self.peek_at(1) != Kind::Mark("(") {
            return Ok(None);
        }
        if !["tumblingwindow", "hoppingwindow", "slidingwindow", "sessionwindow", "countwindow", "statewindow"]
            .contains(&&*name)
        {
            return Ok(None);
        }
        self.at += 2;
        let args = self.arguments(&name, Parser::window_argument)?;
        let kind = kind(&name, args)?;
        let filter = self.filter_clause()?;
        let (when, partition) = self.window_over(&kind)?;
        Ok(Some(Window { kind, filter, when, partition }))
    }

    fn window_argument(&mut self) -> Result<Argument> {
        let unit = match self.peek() {
            Kind::Keyword(Keyword::Dd) => TimeUnit::Day,
            Kind::Keyword(Keyword::Hh) => TimeUnit::Hour,
            Kind::Keyword(Keyword::Mi) => TimeUnit::Minute,
            Kind::Keyword(Keyword::Ss) => TimeUnit::Second,
            Kind::Keyword(Keyword::Ms) => TimeUnit::Millisecond,
            _ => return self.expr().map(Argument::Expr),
        };
        self.at += 1;
        Ok(Argument::Unit(unit))
    }

    /// `OVER([WHEN …] [PARTITION BY …])`, in this order.
    fn window_over(&mut self, kind: &WindowKind) -> Result<(Option<Expr>, Vec<Expr>)> {
        if !self.keyword(Keyword::Over) {
            return Ok((None, Vec::new()));
        }
        self.after("OVER", "(", "parentheses")?;
        let when = if self.keyword(Keyword::When) { Some(self.expr()?) } else { None };
        let partition = if self.keyword(Keyword::Partition) { self.by_list()? } else { Vec::new() };
        if when.is_none() && partition.is_empty() {
            return Err(SqlError::Clause(format!("Found {} after OVER(, expect WHEN.", self.quoted())));
        }
        self.after("OVER", ")", "right parentheses")?;
        if when.is_some() && !matches!(kind, WindowKind::Sliding(..)) {
            return Err(SqlError::Clause("over (when ...) is only supported for sliding windows.".into()));
        }
        Ok((when, partition))
    }
}

fn kind(name: &str, args: Vec<Argument>) -> Result<WindowKind> {
    match name {
        "countwindow" => return count(args),
        "statewindow" => return state(args),
        _ => {}
    }
    let counts: &[usize] = match name {
        "tumblingwindow" => &[2],
        "slidingwindow" => &[2, 3],
        _ => &[3],
    };
    if !counts.contains(&args.len()) {
        return Err(SqlError::Clause(format!("The arguments for {name} should be {}.\n", counts[0])));
    }
    let Argument::Unit(unit) = args[0] else {
        let text = format!(
            "The 1st argument for {name} is expecting timer literal expression. One value of [dd|hh|mi|ss|ms].\n"
        );
        return Err(SqlError::Clause(text));
    };
    let mut lengths = [0; 2];
    for (index, arg) in args.iter().enumerate().skip(1) {
        let Argument::Expr(Expr::Int(length)) = arg else {
            return Err(SqlError::Clause(format!(
                "The {index} argument for {name} is expecting interger literal expression. \n"
            )));
        };
        // A delay may be zero, a length may not; all must stay within what milliseconds can count.
        let smallest = i64::from(!(name == "slidingwindow" && index == 2));
        if *length < smallest || length.checked_mul(unit.millis()).is_none_or(|millis| millis > i64::MAX / 4) {
            return Err(SqlError::Clause(format!("The {index} argument for {name} is out of range: {length}.")));
        }
        lengths[index - 1] = *length;
    }
    let [first, second] = lengths;
    Ok(match name {
        "tumblingwindow" => WindowKind::Tumbling(unit, first),
        "hoppingwindow" => WindowKind::Hopping(unit, first, second),
        "sessionwindow" => WindowKind::Session(unit, first, second),
        _ => WindowKind::Sliding(unit, first, (args.len() == 3).then_some(second)),
    })
}

fn count(args: Vec<Argument>) -> Result<WindowKind> {
    let numbers: Option<Vec<i64>> = args
        .iter()
        .map(|arg| match arg {
            Argument::Expr(Expr::Int(number)) => Some(*number),
            _ => None,
        })
        .collect();
    match numbers.as_deref() {
        Some([length]) if *length > 0 => Ok(WindowKind::Count(*length, None)),
        Some([length, interval]) if *length > 0 && (1..=*length).contains(interval) => {
            Ok(WindowKind::Count(*length, Some(*interval)))
        }
        Some([length, interval]) if interval > length => {
            let text =
                format!("The second parameter value {interval} should be less than the first parameter {length}.");
            Err(SqlError::Clause(text))
        }
        Some([length]) => Err(SqlError::Clause(format!("Invalid parameter value {length}."))),
        Some([length, interval]) => Err(SqlError::Clause(format!("Invalid parameter value {length}, {interval}."))),
        None if args.len() == 1 || args.len() == 2 => Err(SqlError::Clause("Invalid parameter value.".into())),
        _ => Err(SqlError::Clause("Invalid parameter count.".into())),
    }
}

fn state(args: Vec<Argument>) -> Result<WindowKind> {
    let mut exprs = args.into_iter().map(|arg| match arg {
        Argument::Expr(expr) => Ok(Box::new(expr)),
        Argument::Unit(_) => {
            Err(SqlError::Clause("Invalid parameter for statewindow, a condition is expected.".into()))
        }
    });
    match (exprs.next().transpose()?, exprs.next().transpose()?, exprs.next()) {
        (Some(begin), emit, None) => Ok(WindowKind::State(begin, emit)),
        _ => Err(SqlError::Clause("The arguments for statewindow should be 1 or 2.".into())),
    }
}
