//! SELECT and its clauses.

use super::Parser;
use crate::ast::{Expr, Join, JoinKind, Select, SelectField, SortField, Source, Window};
use crate::error::{Result, SqlError};
use crate::lexer::{Keyword, Kind};

impl Parser<'_> {
    /// What follows SELECT.
    pub(super) fn select(&mut self) -> Result<Select> {
        self.selecting = true;
        let fields = self.fields()?;
        self.selecting = false;
        self.expect_keyword(Keyword::From, "FROM")?;
        let from = self.source()?;
        let joins = self.joins()?;
        let condition = if self.keyword(Keyword::Where) { Some(self.expr()?) } else { None };
        let (group_by, window) = self.dimensions()?;
        let having = if self.keyword(Keyword::Having) { Some(self.expr()?) } else { None };
        let order_by = if self.is_keyword(Keyword::Order) { self.order_by()? } else { Vec::new() };
        let limit = self.limit()?;
        Ok(Select { fields, from, joins, condition, group_by, window, having, order_by, limit })
    }

    fn fields(&mut self) -> Result<Vec<SelectField>> {
        let mut fields = vec![self.field()?];
        while self.eat(",") {
            fields.push(self.field()?);
        }
        Ok(fields)
    }

    fn field(&mut self) -> Result<SelectField> {
        if self.is("*") {
            self.at += 1;
            return self.all_field();
        }
        let expr = self.expr()?;
        let alias = if self.keyword(Keyword::As) {
            if matches!(expr, Expr::Wildcard(_)) {
                return Err(SqlError::Clause("alias is not supported for *".into()));
            }
            let Kind::Ident(alias, _) = self.peek() else { return self.expected("as alias") };
            let alias = alias.clone();
            self.at += 1;
            Some(alias)
        } else {
            None
        };
        let invisible = self.keyword(Keyword::Invisible);
        Ok(SelectField::Expr { expr, alias, invisible })
    }

    /// What may follow `*`.
    fn all_field(&mut self) -> Result<SelectField> {
        let mut except = Vec::new();
        let mut replace = Vec::new();
        loop {
            if self.keyword(Keyword::Except) {
                self.expect("(")?;
                except.extend(self.list(Parser::ident)?);
            } else if self.keyword(Keyword::Replace) {
                self.expect("(")?;
                replace.extend(self.list(Parser::replacement)?);
            } else if self.is_keyword(Keyword::As) {
                return Err(SqlError::Clause("alias is not supported for *".into()));
            } else {
                return Ok(SelectField::All { except, replace });
            }
        }
    }

    fn replacement(&mut self) -> Result<(Expr, String)> {
        let expr = self.expr()?;
        self.expect_keyword(Keyword::As, "AS")?;
        Ok((expr, self.ident()?))
    }

    fn source(&mut self) -> Result<Source> {
        let name = self.source_name()?;
        if !self.keyword(Keyword::As) {
            return Ok(Source { name, alias: None });
        }
        match self.peek() {
            Kind::Ident(..) => Ok(Source { alias: Some(self.ident()?), name }),
            // eKuiper names the source and a JOIN here.
            _ => Err(SqlError::Expected { found: name, expected: "JOIN key word" }),
        }
    }

    /// A stream's name, which may look like a topic: its parts then touch each other.
    fn source_name(&mut self) -> Result<String> {
        let part = |kind: &Kind| {
            matches!(kind, Kind::Ident(_, false) | Kind::Keyword(_) | Kind::Int(_) | Kind::Mark("/" | "#" | "+" | "-"))
        };
        let first = &self.tokens[self.at.min(self.tokens.len() - 1)];
        if let Kind::Ident(name, true) = &first.kind {
            let name = name.clone();
            self.at += 1;
            return Ok(name);
        }
        if !matches!(first.kind, Kind::Ident(_, false) | Kind::Mark("/" | "#" | "+")) {
            return self.expected("source name");
        }
        let start = first.start;
        let mut end = first.end;
        self.at += 1;
        while self.tokens[self.at].start == end && part(self.peek()) {
            end = self.tokens[self.at].end;
            self.at += 1;
        }
        Ok(self.text.get(start..end).unwrap_or_default().to_string())
    }

    fn joins(&mut self) -> Result<Vec<Join>> {
        let mut joins = Vec::new();
        loop {
            let kind = match self.peek() {
                Kind::Keyword(Keyword::Inner) => JoinKind::Inner,
                Kind::Keyword(Keyword::Left) => JoinKind::Left,
                Kind::Keyword(Keyword::Right) => JoinKind::Right,
                Kind::Keyword(Keyword::Full) => JoinKind::Full,
                Kind::Keyword(Keyword::Cross) => JoinKind::Cross,
                _ => return Ok(joins),
            };
            let word = self.found();
            self.at += 1;
            if !self.keyword(Keyword::Join) {
                return Err(SqlError::Expected { found: word, expected: "JOIN key word" });
            }
            let source = self.source()?;
            let on = if self.keyword(Keyword::On) { Some(self.expr()?) } else { None };
            if kind == JoinKind::Cross && on.is_some() {
                return Err(SqlError::Clause("On expression is not required for cross join type.\n".into()));
            }
            joins.push(Join { kind, source, on });
        }
    }

    fn dimensions(&mut self) -> Result<(Vec<Expr>, Option<Window>)> {
        let (mut group_by, mut window) = (Vec::new(), None);
        if !self.keyword(Keyword::Group) {
            return Ok((group_by, window));
        }
        self.expect_keyword(Keyword::By, "BY statement")?;
        loop {
            match self.window()? {
                Some(_) if window.is_some() => {
                    return Err(SqlError::Clause(
                        "found more than one window in GROUP BY, only one is allowed.".into(),
                    ));
                }
                Some(found) => window = Some(found),
                None => group_by.push(self.expr()?),
            }
            if !self.eat(",") {
                return Ok((group_by, window));
            }
        }
    }

    /// `ORDER BY a [ASC|DESC] [,] b …`; the comma is optional.
    pub(super) fn order_by(&mut self) -> Result<Vec<SortField>> {
        self.at += 1;
        self.expect_keyword(Keyword::By, "BY keyword")?;
        let mut sorts = Vec::new();
        loop {
            if self.eat(",") {
                continue;
            }
            if !matches!(self.peek(), Kind::Ident(..)) {
                return Ok(sorts);
            }
            let expr = self.expr()?;
            let descending = self.keyword(Keyword::Desc);
            if !descending {
                self.keyword(Keyword::Asc);
            }
            sorts.push(SortField { expr, descending });
        }
    }

    fn limit(&mut self) -> Result<Option<u64>> {
        if !self.keyword(Keyword::Limit) {
            return Ok(None);
        }
        let Kind::Int(limit) = *self.peek() else { return self.expected("integer") };
        self.at += 1;
        u64::try_from(limit).map(Some).map_err(|_| SqlError::Literal { found: limit.to_string(), what: "limit" })
    }
}
