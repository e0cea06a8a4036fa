//! Expressions as eKuiper prints them in run-time errors and in `explain`: the form of its tree, not of SQL.

use edgeward_sql::ast::{Call, Column, Expr as Syntax, Over, SetOperand};

use super::Scope;

/// Length from which on aliases are no longer unfolded: they may hold each other many times over.
const LONGEST: usize = 4096;

impl Scope {
    /// An expression of the select list's field with this alias, or of another clause.
    pub(crate) fn shown(&self, syntax: &Syntax, alias: Option<&str>) -> String {
        let mut printer = Printer { scope: self, out: String::new(), open: Vec::new() };
        match alias {
            Some(alias) => printer.alias(alias, syntax),
            None => printer.expr(syntax),
        }
        printer.out
    }

    /// The stream an unqualified column belongs to, as far as it can be told before a row is there.
    pub(crate) fn stream_of(&self, name: &str) -> &str {
        let declares = |input: &&super::ScopeInput| input.definition.fields.iter().any(|field| field.name == name);
        match self.inputs.as_slice() {
            [only] => &only.reference,
            inputs => inputs.iter().find(declares).map_or("$$default", |input| &input.reference),
        }
    }
}

struct Printer<'a> {
    scope: &'a Scope,
    out: String,
    /// Aliases being unfolded: inside its own expression an alias means the column.
    open: Vec<&'a str>,
}

impl<'a> Printer<'a> {
    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn alias(&mut self, name: &'a str, syntax: &'a Syntax) {
        self.text(&format!("$$alias.{name}"));
        if self.out.len() < LONGEST && self.open.len() < 16 {
            self.text(",aliasRef:");
            self.open.push(name);
            self.expr(syntax);
            self.open.pop();
        }
    }

    fn expr(&mut self, syntax: &'a Syntax) {
        match syntax {
            Syntax::Int(int) => self.text(&int.to_string()),
            Syntax::Float(float) => self.text(&float.to_string()),
            Syntax::Str(text) => self.text(text),
            Syntax::Bool(bool) => self.text(&bool.to_string()),
            Syntax::Column(column) => self.column(column),
            Syntax::Wildcard(None) => self.text("*"),
            Syntax::Wildcard(Some(stream)) => self.text(&format!("{stream}.*")),
            Syntax::Binary(op, left, right) => {
                self.text("binaryExpr:{ ");
                self.operand(left, op.precedence());
                self.text(&format!(" {} ", op.symbol()));
                self.operand(right, op.precedence() + 1);
                self.text(" }");
            }
            Syntax::Member(base, name) => {
                self.binary(base, " -> ", |printer| printer.text(&format!("jsonFieldName:{name}")));
            }
            Syntax::Index(base, index) => self.binary(base, "[", |printer| {
                printer.expr(index);
                printer.text("]");
            }),
            Syntax::Slice(base, from, to) => self.binary(base, "[", |printer| {
                from.iter().for_each(|from| printer.expr(from));
                printer.text(":");
                to.iter().for_each(|to| printer.expr(to));
                printer.text("]");
            }),
            Syntax::In { operand, set, negated } => {
                self.binary(operand, if *negated { " NOT IN " } else { " IN " }, |printer| printer.set(set));
            }
            Syntax::Between { operand, low, high, negated } => {
                self.binary(operand, if *negated { " NOT BETWEEN " } else { " BETWEEN " }, |printer| {
                    printer.text("betweenExpr:{ ");
                    printer.list([&**low, &**high]);
                    printer.text(" }");
                });
            }
            Syntax::Like { operand, pattern, negated } => {
                self.binary(operand, if *negated { " NOT LIKE " } else { " LIKE " }, |printer| {
                    printer.text("likePattern:{ ");
                    printer.expr(pattern);
                    printer.text(" }");
                });
            }
            Syntax::Case(case) => self.case(case),
            Syntax::Call(call) => self.call(call),
        }
    }

    fn binary(&mut self, left: &'a Syntax, operator: &str, right: impl FnOnce(&mut Self)) {
        self.text("binaryExpr:{ ");
        self.expr(left);
        self.text(operator);
        right(self);
        self.text(" }");
    }

    /// An operand that must bind at least as tightly as `minimum` or else stood in parentheses.
    fn operand(&mut self, syntax: &'a Syntax, minimum: u8) {
        let loose = match syntax {
            Syntax::Binary(op, ..) => op.precedence() < minimum,
            Syntax::In { .. } | Syntax::Between { .. } | Syntax::Like { .. } => minimum > 3,
            _ => false,
        };
        if loose {
            self.text("parenExpr:{ ");
        }
        self.expr(syntax);
        if loose {
            self.text(" }");
        }
    }

    fn list(&mut self, items: impl IntoIterator<Item = &'a Syntax>) {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.text(", ");
            }
            self.expr(item);
        }
    }

    fn set(&mut self, set: &'a SetOperand) {
        self.text("valueSetExpr:{ ");
        match set {
            SetOperand::List(items) => self.list(items),
            SetOperand::Expr(expr) => self.expr(expr),
        }
        self.text(" }");
    }

    fn column(&mut self, column: &'a Column) {
        let scope = self.scope;
        match &column.stream {
            Some(stream) if scope.inputs.iter().any(|input| input.reference == *stream) => {
                self.text(&format!("{stream}.{}", column.name));
            }
            Some(base) => {
                let base = format!("{}.{base}", scope.stream_of(base));
                self.text(&format!("binaryExpr:{{ {base} -> jsonFieldName:{} }}", column.name));
            }
            None => match scope.aliases.get_key_value(&column.name) {
                Some((name, syntax)) if !self.open.contains(&name.as_str()) => self.alias(name, syntax),
                _ => self.text(&format!("{}.{}", scope.stream_of(&column.name), column.name)),
            },
        }
    }

    fn case(&mut self, case: &'a edgeward_sql::ast::Case) {
        self.text("caseExprValue:{ ");
        if let Some(operand) = &case.operand {
            self.text("value:{ ");
            self.expr(operand);
            self.text(" }, ");
        }
        self.text("whenClauses:[");
        for (index, (when, then)) in case.arms.iter().enumerate() {
            self.text(if index > 0 { ", { whenExpr:{ " } else { "{ whenExpr:{ " });
            self.expr(when);
            self.text(" }, result:{ ");
            self.expr(then);
            self.text(" } }");
        }
        self.text("]");
        if let Some(otherwise) = &case.otherwise {
            self.text(", elseClause:{ ");
            self.expr(otherwise);
            self.text(" }");
        }
        self.text(" }");
    }

    fn call(&mut self, call: &'a Call) {
        self.text(&format!("Call:{{ name:{}", call.name.to_ascii_lowercase()));
        if !call.args.is_empty() {
            self.text(", args:[");
            self.list(&call.args);
            self.text("]");
        }
        if let Some(filter) = &call.filter {
            self.text(", filter:{ ");
            self.expr(filter);
            self.text(" }");
        }
        if let Some(Over { partition, when, .. }) = &call.over {
            if !partition.is_empty() {
                self.text(", partition:{ PartitionExpr:[ ");
                self.list(partition);
                self.text(" ] }");
            }
            if let Some(when) = when {
                self.text(", when:{ ");
                self.expr(when);
                self.text(" }");
            }
        }
        self.text(" }");
    }
}
