//! Trees to text; what is printed parses to the same tree again.

use std::fmt::{self, Display, Formatter};

use crate::ast::{
    CreateStream, DataType, Expr, Field, Join, JoinKind, Over, Select, SelectField, SetOperand, SortField, Source,
    Statement, StreamKind, StreamOptions, TableKind, Window, WindowKind,
};
use crate::lexer::is_keyword;
use crate::quote::Quoted;

impl Display for Statement {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let word = |kind: &StreamKind| if *kind == StreamKind::Stream { "STREAM" } else { "TABLE" };
        match self {
            Statement::Select(select) => select.fmt(out),
            Statement::Create(create) => create.fmt(out),
            Statement::Show(kind) => write!(out, "SHOW {}S", word(kind)),
            Statement::Describe(kind, name) => write!(out, "DESCRIBE {} {}", word(kind), Ident(name)),
            Statement::Explain(kind, name) => write!(out, "EXPLAIN {} {}", word(kind), Ident(name)),
            Statement::Drop(kind, name) => write!(out, "DROP {} {}", word(kind), Ident(name)),
        }
    }
}

/// An identifier, back-quoted where it must be.
struct Ident<'a>(&'a str);

impl Display for Ident<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0.bytes();
        let plain = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if plain && !is_keyword(self.0) { out.write_str(self.0) } else { write!(out, "`{}`", self.0) }
    }
}

/// Items with commas between them.
struct List<'a, T>(&'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str(", ")?;
            }
            item.fmt(out)?;
        }
        Ok(())
    }
}

impl Display for Select {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "SELECT {} FROM {}", List(&self.fields), self.from)?;
        for join in &self.joins {
            write!(out, " {join}")?;
        }
        if let Some(condition) = &self.condition {
            write!(out, " WHERE {condition}")?;
        }
        let dimensions = self
            .group_by
            .iter()
            .map(Expr::to_string)
            .chain(self.window.iter().map(Window::to_string))
            .collect::<Vec<_>>();
        if !dimensions.is_empty() {
            write!(out, " GROUP BY {}", List(&dimensions))?;
        }
        if let Some(having) = &self.having {
            write!(out, " HAVING {having}")?;
        }
        if !self.order_by.is_empty() {
            write!(out, " ORDER BY {}", List(&self.order_by))?;
        }
        if let Some(limit) = self.limit {
            write!(out, " LIMIT {limit}")?;
        }
        Ok(())
    }
}

impl Display for SelectField {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            SelectField::All { except, replace } => {
                out.write_str("*")?;
                if !except.is_empty() {
                    let names: Vec<Ident<'_>> = except.iter().map(|name| Ident(name)).collect();
                    write!(out, " EXCEPT({})", List(&names))?;
                }
                if !replace.is_empty() {
                    let items: Vec<String> =
                        replace.iter().map(|(expr, alias)| format!("{expr} AS {}", Ident(alias))).collect();
                    write!(out, " REPLACE({})", List(&items))?;
                }
                Ok(())
            }
            SelectField::Expr { expr, alias, invisible } => {
                // A lone `*` as an operand of something else is printed by the expression; here it would be the wildcard field.
                expr.fmt(out)?;
                if let Some(alias) = alias {
                    write!(out, " AS {}", Ident(alias))?;
                }
                if *invisible {
                    out.write_str(" INVISIBLE")?;
                }
                Ok(())
            }
        }
    }
}

impl Display for Source {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}", Ident(&self.name))?;
        if let Some(alias) = &self.alias {
            write!(out, " AS {}", Ident(alias))?;
        }
        Ok(())
    }
}

impl Display for Join {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            JoinKind::Inner => "INNER",
            JoinKind::Left => "LEFT",
            JoinKind::Right => "RIGHT",
            JoinKind::Full => "FULL",
            JoinKind::Cross => "CROSS",
        };
        write!(out, "{kind} JOIN {}", self.source)?;
        if let Some(on) = &self.on {
            write!(out, " ON {on}")?;
        }
        Ok(())
    }
}

impl Display for SortField {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.expr, if self.descending { " DESC" } else { "" })
    }
}

impl Display for Window {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            WindowKind::Tumbling(unit, length) => write!(out, "TUMBLINGWINDOW({}, {length})", unit.keyword())?,
            WindowKind::Hopping(unit, length, interval) => {
                write!(out, "HOPPINGWINDOW({}, {length}, {interval})", unit.keyword())?
            }
            WindowKind::Sliding(unit, length, None) => write!(out, "SLIDINGWINDOW({}, {length})", unit.keyword())?,
            WindowKind::Sliding(unit, length, Some(delay)) => {
                write!(out, "SLIDINGWINDOW({}, {length}, {delay})", unit.keyword())?
            }
            WindowKind::Session(unit, length, timeout) => {
                write!(out, "SESSIONWINDOW({}, {length}, {timeout})", unit.keyword())?
            }
            WindowKind::Count(length, None) => write!(out, "COUNTWINDOW({length})")?,
            WindowKind::Count(length, Some(interval)) => write!(out, "COUNTWINDOW({length}, {interval})")?,
            WindowKind::State(begin, None) => write!(out, "STATEWINDOW({begin})")?,
            WindowKind::State(begin, Some(emit)) => write!(out, "STATEWINDOW({begin}, {emit})")?,
        }
        if let Some(filter) = &self.filter {
            write!(out, " FILTER(WHERE {filter})")?;
        }
        let when = self.when.iter().map(|when| format!("WHEN {when}"));
        let partition = (!self.partition.is_empty()).then(|| format!("PARTITION BY {}", List(&self.partition)));
        let parts: Vec<String> = when.chain(partition).collect();
        if parts.is_empty() { Ok(()) } else { write!(out, " OVER({})", parts.join(" ")) }
    }
}

/// Precedence of a tree as an operand: atoms and postfix forms bind tightest.
fn level(expr: &Expr) -> u8 {
    match expr {
        Expr::Binary(op, ..) => op.precedence(),
        Expr::In { .. } | Expr::Between { .. } | Expr::Like { .. } => 3,
        _ => 6,
    }
}

/// Prints an operand that must bind at least as tightly as `minimum`.
struct Operand<'a>(&'a Expr, u8);

impl Display for Operand<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        if level(self.0) >= self.1 { self.0.fmt(out) } else { write!(out, "({})", self.0) }
    }
}

impl Display for Expr {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        match self {
            Expr::Int(int) => write!(out, "{int}"),
            Expr::Float(float) if float.fract() == 0.0 => write!(out, "{float:.1}"),
            Expr::Float(float) => write!(out, "{float}"),
            Expr::Str(text) => Quoted(text).fmt(out),
            Expr::Bool(bool) => out.write_str(if *bool { "TRUE" } else { "FALSE" }),
            Expr::Column(column) => match &column.stream {
                Some(stream) => write!(out, "{}.{}", Ident(stream), Ident(&column.name)),
                None => Ident(&column.name).fmt(out),
            },
            Expr::Wildcard(None) => out.write_str("*"),
            Expr::Wildcard(Some(stream)) => write!(out, "{}.*", Ident(stream)),
            Expr::Binary(op, left, right) => {
                write!(
                    out,
                    "{} {} {}",
                    Operand(left, op.precedence()),
                    op.symbol(),
                    Operand(right, op.precedence() + 1)
                )
            }
            Expr::Member(base, name) => write!(out, "{} -> {}", Operand(base, 6), Ident(name)),
            Expr::Index(base, index) => write!(out, "{}[{index}]", Operand(base, 6)),
            Expr::Slice(base, from, to) => {
                let bound = |bound: &Option<Box<Expr>>| bound.as_ref().map(|expr| expr.to_string()).unwrap_or_default();
                write!(out, "{}[{}:{}]", Operand(base, 6), bound(from), bound(to))
            }
            Expr::In { operand, set: SetOperand::List(items), negated } => {
                write!(out, "{} {}IN ({})", Operand(operand, 3), not(negated), List(items))
            }
            Expr::In { operand, set: SetOperand::Expr(set), negated } => {
                write!(out, "{} {}IN {}", Operand(operand, 3), not(negated), Operand(set, 4))
            }
            Expr::Between { operand, low, high, negated } => {
                write!(
                    out,
                    "{} {}BETWEEN {} AND {}",
                    Operand(operand, 3),
                    not(negated),
                    Operand(low, 4),
                    Operand(high, 4)
                )
            }
            Expr::Like { operand, pattern, negated } => {
                write!(out, "{} {}LIKE {}", Operand(operand, 3), not(negated), Operand(pattern, 4))
            }
            Expr::Case(case) => {
                out.write_str("CASE")?;
                if let Some(operand) = &case.operand {
                    write!(out, " {operand}")?;
                }
                for (when, then) in &case.arms {
                    write!(out, " WHEN {when} THEN {then}")?;
                }
                if let Some(otherwise) = &case.otherwise {
                    write!(out, " ELSE {otherwise}")?;
                }
                out.write_str(" END")
            }
            Expr::Call(call) => {
                write!(out, "{}({})", Ident(&call.name), List(&call.args))?;
                if let Some(filter) = &call.filter {
                    write!(out, " FILTER(WHERE {filter})")?;
                }
                call.over.iter().try_for_each(|over| write!(out, " {over}"))
            }
        }
    }
}

impl Display for Over {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let partition = (!self.partition.is_empty()).then(|| format!("PARTITION BY {}", List(&self.partition)));
        let order = (!self.order.is_empty()).then(|| format!("ORDER BY {}", List(&self.order)));
        let when = self.when.as_ref().map(|when| format!("WHEN {when}"));
        let parts: Vec<String> = [partition, order, when].into_iter().flatten().collect();
        write!(out, "OVER({})", parts.join(" "))
    }
}

impl Display for CreateStream {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let kind = if self.kind == StreamKind::Stream { "STREAM" } else { "TABLE" };
        write!(out, "CREATE {kind} {} ({}) WITH ({})", Ident(&self.name), List(&self.fields), self.options)
    }
}

impl Display for Field {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", Ident(&self.name), self.data_type)?;
        self.default.iter().try_for_each(|default| write!(out, " DEFAULT {default}"))
    }
}

impl Display for DataType {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            DataType::Bigint => "BIGINT",
            DataType::Float => "FLOAT",
            DataType::String => "STRING",
            DataType::Bytea => "BYTEA",
            DataType::Datetime => "DATETIME",
            DataType::Boolean => "BOOLEAN",
            DataType::Array(item) => return write!(out, "ARRAY({item})"),
            DataType::Struct(fields) => return write!(out, "STRUCT({})", List(fields)),
        })
    }
}

impl Display for StreamOptions {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let flag = |set: bool| set.then(|| "true".to_string());
        let kind =
            self.kind.map(|kind| if kind == TableKind::Scan { "scan".to_string() } else { "lookup".to_string() });
        let options = [
            ("DATASOURCE", self.datasource.clone()),
            ("TYPE", self.source_type.clone()),
            ("FORMAT", self.format.clone()),
            ("SCHEMAID", self.schema_id.clone()),
            ("DELIMITER", self.delimiter.clone()),
            ("CONF_KEY", self.conf_key.clone()),
            ("EXTRA", self.extra.clone()),
            ("KEY", self.key.clone()),
            ("SHARED", flag(self.shared)),
            ("STRICT_VALIDATION", flag(self.strict_validation)),
            ("TIMESTAMP", self.timestamp.clone()),
            ("TIMESTAMP_FORMAT", self.timestamp_format.clone()),
            ("RETAIN_SIZE", self.retain_size.map(|size| size.to_string())),
            ("KIND", kind),
            ("VERSION", self.version.clone()),
            ("TEMP", flag(self.temp)),
        ];
        let set: Vec<String> = options
            .iter()
            .filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={}", Quoted(value))))
            .collect();
        out.write_str(&set.join(", "))
    }
}
