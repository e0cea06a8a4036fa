//! Expressions: a Pratt parser over the five levels of precedence.

use super::{MAX_HEIGHT, Parser};
use crate::ast::{BinaryOp, Call, Case, Column, Expr, Over, SetOperand};
use crate::error::{Result, SqlError};
use crate::lexer::{Keyword, Kind};
use crate::quote::Quoted;

/// Precedence of comparisons, IN, BETWEEN and LIKE.
const COMPARISON: u8 = 3;

impl Parser<'_> {
    pub(super) fn expr(&mut self) -> Result<Expr> {
        self.binary(1)
    }

    /// An expression of operators that bind at least as strongly as `minimum`.
    fn binary(&mut self, minimum: u8) -> Result<Expr> {
        self.nested(|parser| {
            let mut left = parser.postfix()?;
            let mut height = 0;
            loop {
                let next = match parser.operator() {
                    Some(op) if op.precedence() >= minimum => {
                        parser.at += 1;
                        let right = parser.binary(op.precedence() + 1)?;
                        Expr::Binary(op, Box::new(left), Box::new(right))
                    }
                    None if minimum <= COMPARISON && parser.at_set_operator() => parser.set_operator(left)?,
                    _ => return Ok(left),
                };
                left = next;
                height += 1;
                // A chain is parsed in a loop but walked by recursion later.
                if height > MAX_HEIGHT {
                    return Err(SqlError::Nesting(MAX_HEIGHT));
                }
            }
        })
    }

    fn operator(&self) -> Option<BinaryOp> {
        Some(match self.peek() {
            Kind::Keyword(Keyword::Or) => BinaryOp::Or,
            Kind::Keyword(Keyword::And) => BinaryOp::And,
            Kind::Mark(mark) => match *mark {
                "=" => BinaryOp::Eq,
                "!=" => BinaryOp::Ne,
                "<" => BinaryOp::Lt,
                "<=" => BinaryOp::Le,
                ">" => BinaryOp::Gt,
                ">=" => BinaryOp::Ge,
                "+" => BinaryOp::Add,
                "-" => BinaryOp::Sub,
                "|" => BinaryOp::BitOr,
                "^" => BinaryOp::BitXor,
                "*" => BinaryOp::Mul,
                "/" => BinaryOp::Div,
                "%" => BinaryOp::Mod,
                "&" => BinaryOp::BitAnd,
                _ => return None,
            },
            _ => return None,
        })
    }

    fn at_set_operator(&self) -> bool {
        matches!(self.peek(), Kind::Keyword(Keyword::In | Keyword::Not | Keyword::Between | Keyword::Like))
    }

    /// `[NOT] IN | BETWEEN | LIKE` after its left side.
    fn set_operator(&mut self, left: Expr) -> Result<Expr> {
        let negated = self.keyword(Keyword::Not);
        let operand = Box::new(left);
        if self.keyword(Keyword::In) {
            let set = if self.eat("(") {
                SetOperand::List(self.elements()?)
            } else {
                SetOperand::Expr(Box::new(self.binary(COMPARISON + 1)?))
            };
            return Ok(Expr::In { operand, set, negated });
        }
        if self.keyword(Keyword::Between) {
            let low = Box::new(self.binary(COMPARISON + 1)?);
            if !self.keyword(Keyword::And) {
                return Err(SqlError::Clause(format!(
                    "expect AND expression after between but found {}",
                    self.quoted()
                )));
            }
            let high = Box::new(self.binary(COMPARISON + 1)?);
            return Ok(Expr::Between { operand, low, high, negated });
        }
        if self.keyword(Keyword::Like) {
            let pattern = Box::new(self.binary(COMPARISON + 1)?);
            return Ok(Expr::Like { operand, pattern, negated });
        }
        self.expected("expression")
    }

    /// What follows `IN (`.
    fn elements(&mut self) -> Result<Vec<Expr>> {
        let mut elements = Vec::new();
        loop {
            let element = self.expr().map_err(|error| match error {
                error @ SqlError::Nesting(_) => error,
                error => SqlError::Clause(format!("expect elements for IN expression, but {error}")),
            })?;
            elements.push(element);
            if self.eat(")") {
                return Ok(elements);
            }
            if !self.eat(",") {
                return Err(SqlError::Clause(format!("expect ) for IN expression, but got {}", self.quoted())));
            }
        }
    }

    /// A primary expression and what may follow it directly: `->`, `.`, `[…]`.
    fn postfix(&mut self) -> Result<Expr> {
        let mut expr = self.primary()?;
        let mut height = 0;
        loop {
            expr = if self.eat("->") || self.eat(".") {
                let name = match self.peek() {
                    Kind::Str(name) | Kind::Ident(name, _) => name.clone(),
                    _ => return self.expected("field name"),
                };
                self.at += 1;
                Expr::Member(Box::new(expr), name)
            } else if self.eat("[") {
                self.bracket(expr)?
            } else {
                return Ok(expr);
            };
            height += 1;
            if height > MAX_HEIGHT {
                return Err(SqlError::Nesting(MAX_HEIGHT));
            }
        }
    }

    fn bracket(&mut self, base: Expr) -> Result<Expr> {
        let base = Box::new(base);
        // `a[]` is the whole array.
        if self.eat("]") {
            return Ok(Expr::Slice(base, None, None));
        }
        let from = if self.is(":") { None } else { Some(Box::new(self.expr()?)) };
        if !self.eat(":") {
            let found = self.quoted();
            return match from {
                Some(index) if self.eat("]") => Ok(Expr::Index(base, index)),
                _ => Err(SqlError::Clause(format!("Unexpected token {found}. when parsing bracket expressions."))),
            };
        }
        let to = if self.is("]") { None } else { Some(Box::new(self.expr()?)) };
        if self.eat("]") {
            return Ok(Expr::Slice(base, from, to));
        }
        Err(SqlError::Clause(format!("Found {}, expected right bracket.", self.quoted())))
    }

    fn primary(&mut self) -> Result<Expr> {
        let expr = match self.peek() {
            Kind::Int(int) => Expr::Int(*int),
            Kind::Number(float) => Expr::Float(*float),
            Kind::Str(text) => Expr::Str(text.clone()),
            Kind::Keyword(Keyword::True) => Expr::Bool(true),
            Kind::Keyword(Keyword::False) => Expr::Bool(false),
            Kind::Mark("(") => {
                self.at += 1;
                let expr = self.expr()?;
                return if self.eat(")") { Ok(expr) } else { self.expected("right paren") };
            }
            Kind::Mark("*") => Expr::Wildcard(None),
            Kind::Keyword(Keyword::Case) => return self.nested(Parser::case),
            Kind::Ident(..) if *self.peek_at(1) == Kind::Mark("(") => return self.nested(Parser::call),
            Kind::Ident(..) => return self.column(),
            _ => return self.expected("expression"),
        };
        self.at += 1;
        Ok(expr)
    }

    /// `name`, `stream.name` or `stream.*`. Whether the first part is a stream is known only to the planner.
    fn column(&mut self) -> Result<Expr> {
        let first = self.ident()?;
        if !self.is(".") {
            return Ok(Expr::Column(Column { stream: None, name: first }));
        }
        match self.peek_at(1) {
            Kind::Ident(name, _) => {
                let name = name.clone();
                self.at += 2;
                Ok(Expr::Column(Column { stream: Some(first), name }))
            }
            Kind::Mark("*") => {
                self.at += 2;
                Ok(Expr::Wildcard(Some(first)))
            }
            _ => {
                self.at += 1;
                self.expected("field name")
            }
        }
    }

    fn case(&mut self) -> Result<Expr> {
        self.at += 1;
        let operand = if self.is_keyword(Keyword::When) { None } else { Some(self.expr()?) };
        let mut arms = Vec::new();
        while self.keyword(Keyword::When) {
            let when = self.expr()?;
            if operand.is_none() && !may_be_true(&when) {
                return wrong_case("WHEN expression must be a bool condition");
            }
            if !self.keyword(Keyword::Then) {
                return wrong_case("THEN expected after WHEN");
            }
            arms.push((when, self.expr()?));
        }
        if arms.is_empty() {
            return wrong_case(match self.peek() {
                Kind::Keyword(Keyword::Else) => "WHEN expected before ELSE",
                Kind::Keyword(Keyword::End) => "WHEN expected before END",
                _ => "END expected",
            });
        }
        let otherwise = if self.keyword(Keyword::Else) { Some(self.expr()?) } else { None };
        if !self.keyword(Keyword::End) {
            return wrong_case("END expected");
        }
        Ok(Expr::Case(Box::new(Case { operand, arms, otherwise })))
    }

    fn call(&mut self) -> Result<Expr> {
        let name = self.ident()?;
        self.knows(&name)?;
        self.at += 1;
        let args = self.arguments(&name, Parser::expr)?;
        let mut call = Call { name, args, filter: None, over: None };
        self.checked(&call)?;
        call.filter = self.filter_clause()?;
        call.over = if self.is_keyword(Keyword::Over) { Some(self.over()?) } else { None };
        Ok(Expr::Call(Box::new(call)))
    }

    /// Arguments after the opening parenthesis; commas may trail.
    pub(super) fn arguments<T>(&mut self, name: &str, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut args = Vec::new();
        loop {
            if self.eat(")") {
                return Ok(args);
            }
            args.push(item(self)?);
            if !self.eat(",") && !self.is(")") {
                let name = Quoted(name).to_string();
                let found = self.quoted();
                return Err(SqlError::Clause(format!("found function call {name}, expected ), but with {found}.")));
            }
        }
    }

    /// `FILTER(WHERE …)`, if it is there.
    pub(super) fn filter_clause(&mut self) -> Result<Option<Expr>> {
        if !self.keyword(Keyword::Filter) {
            return Ok(None);
        }
        self.after("FILTER", "(", "parentheses")?;
        if !self.keyword(Keyword::Where) {
            return Err(SqlError::Clause(format!("Found {} after FILTER(, expect WHERE.", self.quoted())));
        }
        let filter = self.expr()?;
        self.after("FILTER", ")", "right parentheses")?;
        Ok(Some(filter))
    }

    /// A parenthesis of a clause.
    pub(super) fn after(&mut self, clause: &str, mark: &str, expect: &str) -> Result<()> {
        if self.eat(mark) {
            return Ok(());
        }
        Err(SqlError::Clause(format!("Found {} after {clause}, expect {expect}.", self.quoted())))
    }

    /// `OVER([PARTITION BY …] [ORDER BY …] [WHEN …])`.
    fn over(&mut self) -> Result<Over> {
        self.at += 1;
        self.after("OVER", "(", "parentheses")?;
        let mut over = Over::default();
        if self.keyword(Keyword::Partition) {
            over.partition = self.by_list()?;
        }
        if self.is_keyword(Keyword::Order) {
            over.order = self.order_by()?;
        }
        if self.keyword(Keyword::When) {
            over.when = Some(self.expr()?);
        }
        if over == Over::default() {
            return Err(SqlError::Clause(format!("Found {} after OVER(, expect WHEN.", self.quoted())));
        }
        self.after("OVER", ")", "right parentheses")?;
        Ok(over)
    }

    /// `BY a, b, …` after PARTITION.
    pub(super) fn by_list(&mut self) -> Result<Vec<Expr>> {
        if !self.keyword(Keyword::By) {
            return Err(SqlError::Clause(format!("Found {} after PARTITION, expect BY.", self.quoted())));
        }
        let mut list = vec![self.expr()?];
        while self.eat(",") {
            list.push(self.expr()?);
        }
        Ok(list)
    }
}

fn wrong_case<T>(what: &str) -> Result<T> {
    Err(SqlError::Clause(format!("invalid CASE expression, {what}")))
}

/// Whether an expression can be a condition: not a literal of another type, nor arithmetic.
fn may_be_true(expr: &Expr) -> bool {
    match expr {
        Expr::Int(_) | Expr::Float(_) | Expr::Str(_) => false,
        Expr::Binary(op, ..) => op.precedence() <= COMPARISON,
        _ => true,
    }
}
