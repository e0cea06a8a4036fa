//! Tokens to the tree, by the rules and with the error texts of Go's `text/template/parse`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::exec::Limits;
use crate::func;
use crate::lex::{Kind, LexError, Lexer, Token};
use crate::node::{Arg, ArgKind, Branch, Call, Command, Node, Pipe, Template};
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

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        self.enter()?;
        let pos = self.peek_non_space()?.pos;
        let mut pipe = Pipe { pos, assign: false, declared: Vec::new(), commands: Vec::new() };
        while self.declaration(context, &mut pipe)? {}
        loop {
            let token = self.next_non_space()?;
            if token.kind == end {
                self.check(&pipe, context)?;
                self.depth -= 1;
                return Ok(pipe);
            }
            match token.kind {
                Kind::Bool | Kind::CharConstant | Kind::Complex | Kind::Dot | Kind::Field | Kind::Identifier => {}
                Kind::Number | Kind::Nil | Kind::RawString | Kind::String | Kind::Variable | Kind::LeftParen => {}
                _ => return Err(self.unexpected(token, context)),
            }
            self.pushed.push(token);
            let command = self.command()?;
            pipe.commands.push(command);
        }
    }

    /// Reads `$x :=`, `$x =` or `$x,`; true when another variable may follow.
    fn declaration(&mut self, context: &str, pipe: &mut Pipe) -> Parsed<bool> {
        let variable = self.peek_non_space()?;
        if variable.kind != Kind::Variable {
            return Ok(false);
        }
        self.next()?;
        let after = self.peek()?;
        let next = self.peek_non_space()?;
        let comma = next.kind == Kind::Char && next.text(self.source) == ",";
        if !comma && !matches!(next.kind, Kind::Assign | Kind::Declare) {
            // An argument, not a declaration; the space after it separates it from the next one.
            if after.kind == Kind::Space {
                self.pushed.push(after);
            }
            self.pushed.push(variable);
            return Ok(false);
        }
        self.next_non_space()?;
        let name = variable.text(self.source);
        pipe.declared.push(name.into());
        self.vars.push(name.into());
        if !comma {
            pipe.assign = next.kind == Kind::Assign;
            return Ok(false);
        }
        if context == "range" && pipe.declared.len() < 2 {
            return match self.peek_non_space()?.kind {
                Kind::Variable | Kind::RightDelim | Kind::RightParen => Ok(true),
                _ => Err("range can only initialize variables".into()),
            };
        }
        Err(format!("too many declarations in {context}"))
    }

    fn check(&self, pipe: &Pipe, context: &str) -> Parsed<()> {
        if pipe.commands.is_empty() {
            return Err(format!("missing value for {context}"));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            if matches!(
                command.args[0].kind,
                ArgKind::Bool(_) | ArgKind::Dot | ArgKind::Nil | ArgKind::Number(_) | ArgKind::Str(_)
            ) {
                return Err(format!("non executable command in pipeline stage {}", index + 1));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut command = Command { pos: self.peek_non_space()?.pos, args: Vec::new() };
        loop {
            self.peek_non_space()?;
            if let Some(arg) = self.operand()? {
                command.args.push(arg);
            }
            let token = self.next()?;
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.pushed.push(token),
                Kind::Pipe => {}
                _ => return Err(self.unexpected(token, "operand")),
            }
            break;
        }
        if command.args.is_empty() { Err("empty command".into()) } else { Ok(command) }
    }

    fn operand(&mut self) -> Parsed<Option<Arg>> {
        let Some(mut arg) = self.term()? else { return Ok(None) };
        let first = self.peek()?;
        if first.kind != Kind::Field {
            return Ok(Some(arg));
        }
        let mut fields = Vec::new();
        while self.peek()?.kind == Kind::Field {
            let token = self.next()?;
            fields.push(token.text(self.source)[1..].into());
        }
        match &mut arg.kind {
            ArgKind::Field(own) | ArgKind::Variable(_, own) => {
                own.extend(fields);
                arg.pos = first.pos;
            }
            ArgKind::Bool(_) | ArgKind::Str(_) | ArgKind::Number(_) | ArgKind::Nil | ArgKind::Dot => {
                let mut shown = String::new();
                // Writing to a string cannot fail.
                let _ = crate::node::show_arg(&arg, self.source, &mut shown);
                return Err(format!("unexpected . after term {}", crate::gofmt::quoted(&shown)));
            }
            _ => arg = Arg { pos: first.pos, end: first.end, kind: ArgKind::Chain(Box::new(arg), fields) },
        }
        Ok(Some(arg))
    }

    fn term(&mut self) -> Parsed<Option<Arg>> {
        let token = self.next_non_space()?;
        let text = token.text(self.source);
        let kind = match token.kind {
            Kind::Identifier => {
                let function =
                    func::lookup(text).ok_or_else(|| format!("function {} not defined", crate::gofmt::quoted(text)))?;
                self.mutates |= function.mutates;
                ArgKind::Function(function)
            }
            Kind::Dot => ArgKind::Dot,
            Kind::Nil => ArgKind::Nil,
            Kind::Bool => ArgKind::Bool(text == "true"),
            Kind::Variable if self.vars.iter().any(|name| &**name == text) => {
                ArgKind::Variable(text.into(), Vec::new())
            }
            Kind::Variable => return Err(format!("undefined variable {}", crate::gofmt::quoted(text))),
            Kind::Field => ArgKind::Field(vec![text[1..].into()]),
            Kind::CharConstant => ArgKind::Number(unquote::character(text)?),
            Kind::Complex => return Err(format!("complex constants are not supported: {text}; use a real number")),
            Kind::Number => ArgKind::Number(unquote::number(text)?),
            Kind::LeftParen => ArgKind::Pipe(Box::new(self.pipeline("parenthesized pipeline", Kind::RightParen)?)),
            Kind::String | Kind::RawString => ArgKind::Str(unquote::string(text)?.into()),
            _ => {
                self.pushed.push(token);
                return Ok(None);
            }
        };
        Ok(Some(Arg { pos: token.pos, end: token.end, kind }))
    }
}
