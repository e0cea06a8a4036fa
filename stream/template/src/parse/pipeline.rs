//! The inside of an action: declarations, commands and their operands.

use super::{Parsed, Parser};
use crate::func;
use crate::lex::Kind;
use crate::node::{Arg, ArgKind, Command, Pipe};
use crate::unquote;

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
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
