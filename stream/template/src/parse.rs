//! Tokens to the tree, by the rules and with the error texts of Go's `text/template/parse`.

mod pipeline;

use std::collections::HashMap;
use std::sync::Arc;

use crate::exec::Limits;
use crate::lex::{Kind, LexError, Lexer, Token};
use crate::node::{Branch, Call, Node, Template};
use crate::{Error, unquote};

/// Nesting of controls and parentheses; a person's template stays below ten.
const MAX_DEPTH: usize = 64;

pub(crate) fn parse(name: &str, text: &str) -> Result<Template, Error> {
    let mut parser = Parser {
        name,
        source: text,
        lexer: Lexer::new(text),
        pushed: Vec::new(),
        line: 1,
        action_line: 0,
        vars: vec!["$".into()],
        range_depth: 0,
        depth: 0,
        trees: HashMap::new(),
        mutates: false,
    };
    match parser.top() {
        Ok(()) => Ok(Template {
            name: name.into(),
            source: text.into(),
            trees: parser.trees,
            limits: Limits::default(),
            mutates: parser.mutates,
        }),
        Err(text) => Err(Error::Parse(format!("template: {name}:{}: {text}", parser.line))),
    }
}

struct Parser<'a> {
    name: &'a str,
    source: &'a str,
    lexer: Lexer<'a>,
    /// Tokens put back, the next one last.
    pushed: Vec<Token>,
    /// Line of the newest token, where errors are reported.
    line: usize,
    action_line: usize,
    vars: Vec<Box<str>>,
    range_depth: usize,
    depth: usize,
    trees: HashMap<Arc<str>, Vec<Node>>,
    mutates: bool,
}

type Parsed<T> = Result<T, String>;

/// What ended a list of nodes.
#[derive(Clone, Copy, PartialEq)]
enum End {
    End,
    Else,
}

impl End {
    fn show(self) -> &'static str {
        match self {
            End::End => "{{end}}",
            End::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    End(End),
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Parsed<Token> {
        if let Some(token) = self.pushed.pop() {
            return Ok(token);
        }
        match self.lexer.next_token() {
            Ok(token) => {
                self.line = token.line;
                Ok(token)
            }
            Err(error) => Err(self.lexical(error)),
        }
    }

    fn lexical(&mut self, error: LexError) -> String {
        self.line = error.line;
        if self.action_line == 0 || self.action_line == error.line {
            return error.text;
        }
        let place = format!(" started at {}:{}", self.name, self.action_line);
        let between = if error.text.ends_with(" action") { "" } else { " in action" };
        format!("{}{between}{place}", error.text)
    }

    fn peek(&mut self) -> Parsed<Token> {
        let token = self.next()?;
        self.pushed.push(token);
        Ok(token)
    }

    fn next_non_space(&mut self) -> Parsed<Token> {
        loop {
            let token = self.next()?;
            if token.kind != Kind::Space {
                return Ok(token);
            }
        }
    }

    fn peek_non_space(&mut self) -> Parsed<Token> {
        let token = self.next_non_space()?;
        self.pushed.push(token);
        Ok(token)
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        let token = self.next_non_space()?;
        if token.kind == kind { Ok(token) } else { Err(self.unexpected(token, context)) }
    }

    fn unexpected(&self, token: Token, context: &str) -> String {
        format!("unexpected {} in {context}", token.show(self.source))
    }

    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels; use fewer nested actions"));
        }
        Ok(())
    }

    fn top(&mut self) -> Parsed<()> {
        let mut root = Vec::new();
        loop {
            let token = self.next()?;
            if token.kind == Kind::Eof {
                break;
            }
            if token.kind == Kind::LeftDelim {
                let word = self.next_non_space()?;
                if word.kind == Kind::Define {
                    self.definition()?;
                    continue;
                }
                self.pushed.push(word);
            }
            self.pushed.push(token);
            match self.text_or_action()? {
                Item::Node(node) => root.push(node),
                Item::End(end) => return Err(format!("unexpected {}", end.show())),
            }
        }
        self.add(self.name.into(), root)
    }

    fn definition(&mut self) -> Parsed<()> {
        let token = self.next_non_space()?;
        let name = self.template_name(token, "define clause")?;
        self.expect(Kind::RightDelim, "define clause")?;
        let body = self.sub_template("define clause")?;
        self.add(name, body)
    }

    /// The body of a template of its own: it sees no variables but `$`.
    fn sub_template(&mut self, context: &str) -> Parsed<Vec<Node>> {
        let vars = std::mem::replace(&mut self.vars, vec!["$".into()]);
        let ranges = std::mem::take(&mut self.range_depth);
        self.enter()?;
        let (body, end) = self.list()?;
        if end != End::End {
            return Err(format!("unexpected {} in {context}", end.show()));
        }
        self.depth -= 1;
        self.vars = vars;
        self.range_depth = ranges;
        Ok(body)
    }

    fn add(&mut self, name: Arc<str>, body: Vec<Node>) -> Parsed<()> {
        let source = self.source;
        let empty = |nodes: &[Node]| {
            nodes.iter().all(|node| matches!(node, Node::Text(range) if source[range.clone()].trim().is_empty()))
        };
        match self.trees.get(&name) {
            Some(old) if !empty(old) => {
                if empty(&body) {
                    return Ok(());
                }
                Err(format!("template: multiple definition of template {}", crate::gofmt::quoted(&name)))
            }
            _ => {
                self.trees.insert(name, body);
                Ok(())
            }
        }
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, End)> {
        let mut nodes = Vec::new();
        while self.peek_non_space()?.kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                Item::End(end) => return Ok((nodes, end)),
            }
        }
        Err("unexpected EOF".into())
    }

    fn text_or_action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space()?;
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.pos..token.end))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action()?;
                self.action_line = 0;
                Ok(item)
            }
            _ => Err(self.unexpected(token, "input")),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space()?;
        let node = match token.kind {
            Kind::Block => self.block()?,
            Kind::Break => self.loop_control(Node::Break, "{{break}}")?,
            Kind::Continue => self.loop_control(Node::Continue, "{{continue}}")?,
            Kind::Else => return self.else_control().map(Item::End),
            Kind::End => return self.expect(Kind::RightDelim, "end").map(|_| Item::End(End::End)),
            Kind::If => Node::If(self.control("if")?),
            Kind::Range => Node::Range(self.control("range")?),
            Kind::With => Node::With(self.control("with")?),
            Kind::Template => self.template()?,
            _ => {
                self.pushed.push(token);
                Node::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        };
        Ok(Item::Node(node))
    }

    fn loop_control(&mut self, node: Node, name: &str) -> Parsed<Node> {
        let token = self.next_non_space()?;
        if token.kind != Kind::RightDelim {
            return Err(self.unexpected(token, name));
        }
        if self.range_depth == 0 { Err(format!("{name} outside {{{{range}}}}")) } else { Ok(node) }
    }

    fn else_control(&mut self) -> Parsed<End> {
        // `else if` and `else with` leave the second word to `control`.
        if !matches!(self.peek_non_space()?.kind, Kind::If | Kind::With) {
            self.expect(Kind::RightDelim, "else")?;
        }
        Ok(End::Else)
    }

    fn control(&mut self, context: &str) -> Parsed<Branch> {
        self.enter()?;
        let mark = self.vars.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let in_range = usize::from(context == "range");
        self.range_depth += in_range;
        let (body, mut end) = self.list()?;
        self.range_depth -= in_range;
        let mut otherwise = Vec::new();
        if end == End::Else {
            let word = self.peek()?.kind;
            if context == "if" && word == Kind::If {
                self.next()?;
                otherwise.push(Node::If(self.control("if")?));
            } else if context == "with" && word == Kind::With {
                self.next()?;
                otherwise.push(Node::With(self.control("with")?));
            } else {
                (otherwise, end) = self.list()?;
                if end != End::End {
                    return Err(format!("expected end; found {}", end.show()));
                }
            }
        }
        self.vars.truncate(mark);
        self.depth -= 1;
        Ok(Branch { pipe, body, otherwise })
    }

    fn block(&mut self) -> Parsed<Node> {
        let token = self.next_non_space()?;
        let name = self.template_name(token, "block clause")?;
        let pipe = self.pipeline("block clause", Kind::RightDelim)?;
        let body = self.sub_template("block clause")?;
        self.add(name.clone(), body)?;
        Ok(Node::Template(Call { pos: token.pos, name, pipe: Some(pipe) }))
    }

    fn template(&mut self) -> Parsed<Node> {
        let token = self.next_non_space()?;
        let name = self.template_name(token, "template clause")?;
        let next = self.next_non_space()?;
        let mut pipe = None;
        if next.kind != Kind::RightDelim {
            self.pushed.push(next);
            pipe = Some(self.pipeline("template clause", Kind::RightDelim)?);
        }
        Ok(Node::Template(Call { pos: token.pos, name, pipe }))
    }

    fn template_name(&mut self, token: Token, context: &str) -> Parsed<Arc<str>> {
        match token.kind {
            Kind::String | Kind::RawString => Ok(unquote::string(token.text(self.source))?.into()),
            _ => Err(self.unexpected(token, context)),
        }
    }
}
