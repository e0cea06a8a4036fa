//! Tokens to trees.

mod ddl;
mod expr;
mod functions;
mod select;
mod window;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use functions::Functions;

use crate::ast::{Expr, Select, Statement, StreamKind};
use crate::error::{Result, SqlError};
use crate::lexer::{Keyword, Kind, Token, lex};
use crate::quote::Quoted;

/// Deepest nesting of parentheses, calls and types.
pub const MAX_NESTING: usize = 200;

/// Highest tree that chains of operators may build.
pub const MAX_HEIGHT: usize = 500;

/// Reads exactly one statement; a closing `;` may follow.
///
/// # Errors
/// The text is not one statement.
pub fn parse(text: &str) -> Result<Statement> {
    let mut parser = Parser::new(text);
    let statement = parser.statement()?;
    parser.eat(";");
    parser.finish()?;
    Ok(statement)
}

/// Reads one SELECT statement, as a rule's `sql` is read.
///
/// # Errors
/// The text is not one SELECT statement.
pub fn parse_select(text: &str) -> Result<Select> {
    select_of(Parser::new(text))
}

/// As [`parse_select`], with the calls checked while they are read, as eKuiper does.
///
/// # Errors
/// The text is not one SELECT statement, or calls a function that is not there or not so.
pub fn parse_select_with(text: &str, functions: &dyn Functions) -> Result<Select> {
    select_of(Parser { functions: Some(functions), ..Parser::new(text) })
}

fn select_of(mut parser: Parser<'_>) -> Result<Select> {
    if !parser.keyword(Keyword::Select) {
        return Err(SqlError::Statement(parser.found()));
    }
    let select = parser.select()?;
    parser.eat(";");
    parser.finish()?;
    Ok(select)
}

/// Reads statements separated by `;`.
///
/// # Errors
/// One of them is no statement.
pub fn parse_all(text: &str) -> Result<Vec<Statement>> {
    all_of(Parser::new(text))
}

/// As [`parse_all`], with the calls checked while they are read, as eKuiper does.
///
/// # Errors
/// One of them is no statement, or calls a function that is not there or not so.
pub fn parse_all_with(text: &str, functions: &dyn Functions) -> Result<Vec<Statement>> {
    all_of(Parser { functions: Some(functions), ..Parser::new(text) })
}

fn all_of(mut parser: Parser<'_>) -> Result<Vec<Statement>> {
    let mut statements = Vec::new();
    while !parser.at_end() {
        statements.push(parser.statement()?);
        if !parser.eat(";") {
            parser.finish()?;
        }
    }
    Ok(statements)
}

/// Reads one expression, as graph rules and the SQL case files use them.
///
/// # Errors
/// The text is not one expression.
pub fn parse_expr(text: &str) -> Result<Expr> {
    let mut parser = Parser::new(text);
    let expr = parser.expr()?;
    parser.finish()?;
    Ok(expr)
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    functions: Option<&'a dyn Functions>,
    /// In the select list.
    selecting: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parser<'a> {
        Parser { text, tokens: lex(text), at: 0, depth: 0, functions: None, selecting: false }
    }

    fn statement(&mut self) -> Result<Statement> {
        if self.keyword(Keyword::Select) {
            return self.select().map(|select| Statement::Select(Box::new(select)));
        }
        let word = self.found();
        match word.to_ascii_uppercase().as_str() {
            "CREATE" => self.create(),
            "SHOW" => self.managing(Parser::stream_kinds).map(|(kind, _)| Statement::Show(kind)),
            "DESCRIBE" => self.managing(Parser::stream_name).map(|(kind, name)| Statement::Describe(kind, name)),
            "EXPLAIN" => self.managing(Parser::stream_name).map(|(kind, name)| Statement::Explain(kind, name)),
            "DROP" => self.managing(Parser::stream_name).map(|(kind, name)| Statement::Drop(kind, name)),
            _ => Err(SqlError::Statement(word)),
        }
    }

    /// What follows the first word, and nothing more.
    fn managing(&mut self, rest: impl Fn(&mut Self) -> Result<(StreamKind, String)>) -> Result<(StreamKind, String)> {
        self.at += 1;
        let named = rest(self)?;
        if self.is(";") || self.at_end() { Ok(named) } else { self.expected("semecolon or EOF") }
    }

    // ---- looking at tokens ----

    fn peek(&self) -> &Kind {
        &self.tokens[self.at.min(self.tokens.len() - 1)].kind
    }

    fn peek_at(&self, ahead: usize) -> &Kind {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)].kind
    }

    fn at_end(&self) -> bool {
        *self.peek() == Kind::End
    }

    /// The text of the next token as errors show it.
    fn found(&self) -> String {
        let token = &self.tokens[self.at.min(self.tokens.len() - 1)];
        match &token.kind {
            Kind::End => "EOF".to_string(),
            Kind::Ident(name, _) => name.clone(),
            Kind::Str(text) => text.clone(),
            // Keywords are told in capitals and operators without the blanks inside them, as the lexer of eKuiper gives them.
            Kind::Keyword(_) => self.text.get(token.start..token.end).unwrap_or_default().to_ascii_uppercase(),
            Kind::Mark(mark) => (*mark).to_string(),
            _ => self.text.get(token.start..token.end).unwrap_or_default().to_string(),
        }
    }

    fn expected<T>(&self, expected: &'static str) -> Result<T> {
        Err(match self.peek() {
            Kind::Broken(what @ ("integer value" | "number value")) => SqlError::Literal { found: self.found(), what },
            _ => SqlError::Expected { found: self.found(), expected },
        })
    }

    fn expect_here<T>(&self, expect: &'static str) -> Result<T> {
        Err(SqlError::Expect { found: self.found(), expect })
    }

    /// The text of the next token in quotes, for the errors that are not of the usual form.
    fn quoted(&self) -> String {
        Quoted(&self.found()).to_string()
    }

    fn is(&self, mark: &str) -> bool {
        matches!(self.peek(), Kind::Mark(found) if *found == mark)
    }

    fn is_keyword(&self, keyword: Keyword) -> bool {
        *self.peek() == Kind::Keyword(keyword)
    }

    /// Takes a mark if it is next.
    fn eat(&mut self, mark: &str) -> bool {
        let hit = self.is(mark);
        self.at += usize::from(hit);
        hit
    }

    fn expect(&mut self, mark: &'static str) -> Result<()> {
        if self.eat(mark) { Ok(()) } else { self.expected(mark) }
    }

    /// Takes a keyword if it is next.
    fn keyword(&mut self, keyword: Keyword) -> bool {
        let hit = self.is_keyword(keyword);
        self.at += usize::from(hit);
        hit
    }

    fn expect_keyword(&mut self, keyword: Keyword, name: &'static str) -> Result<()> {
        if self.keyword(keyword) { Ok(()) } else { self.expected(name) }
    }

    /// Takes a contextual word, which is an identifier without back-quotes.
    fn word(&mut self, word: &str) -> bool {
        let hit = matches!(self.peek(), Kind::Ident(name, false) if name.eq_ignore_ascii_case(word));
        self.at += usize::from(hit);
        hit
    }

    fn ident(&mut self) -> Result<String> {
        let Kind::Ident(name, _) = self.peek() else { return self.expected("identifier") };
        let name = name.clone();
        self.at += 1;
        Ok(name)
    }

    fn finish(&self) -> Result<()> {
        if self.at_end() { Ok(()) } else { self.expected("EOF") }
    }

    /// Runs `inner` one level deeper.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_NESTING {
            return Err(SqlError::Nesting(MAX_NESTING));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// A comma-separated list up to a closing parenthesis, after the opening one.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = Vec::new();
        if self.eat(")") {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(")") {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }
}
