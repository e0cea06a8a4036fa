//! Functions in JavaScript (eKuiper's `/udf/javascript`): named like the script, arguments in order; one that aggregates
//! gets an array for each.
//!
//! Each call site of a rule has a context of its own, made by its first call, with a limit on memory, stack and time. A
//! script sees nothing but its arguments: no files, no network, no modules.

mod convert;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeward_functions::{Args, Context, Error, UserFunction, Value};
use parking_lot::Mutex;
use rquickjs::function::Args as JsArgs;
use rquickjs::{CatchResultExt, Ctx, Function, Runtime};

use convert::{from_js, to_js};

/// Limits of a script at one call site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory of its context in bytes.
    pub memory: usize,
    /// Stack in bytes.
    pub stack: usize,
    /// Time of one call, and of running the script itself before the first.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory: 16 << 20, stack: 256 << 10, time: Duration::from_secs(5) }
    }
}

/// A script as users store it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Name of the function it defines.
    pub name: Arc<str>,
    /// Its text.
    pub source: Arc<str>,
    /// Whether the arguments are arrays over a group.
    pub aggregate: bool,
}

/// A script at one call site.
pub struct JsFunction {
    script: Script,
    limits: Limits,
    machine: Mutex<Option<Machine>>,
}

struct Machine {
    context: rquickjs::Context,
    deadline: Arc<Mutex<Instant>>,
}

impl fmt::Debug for JsFunction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("JsFunction").field("script", &self.script.name).finish_non_exhaustive()
    }
}

impl JsFunction {
    /// A function for one call site; the script is not run before the first call.
    pub fn new(script: Script, limits: Limits) -> JsFunction {
        JsFunction { script, limits, machine: Mutex::new(None) }
    }

    /// The `exec(msg, meta)` of a graph rule.
    pub fn of_graph(source: &str) -> JsFunction {
        let script = Script { name: "exec".into(), source: source.into(), aggregate: false };
        JsFunction::new(script, Limits::default())
    }

    /// Runs the script once and looks for its function. Blocks at most as long as `limits.time`.
    ///
    /// # Errors
    /// It does not run, or does not define the function.
    pub fn check(script: &Script, limits: &Limits) -> Result<(), String> {
        Machine::new(script, limits).map(drop)
    }
}

impl UserFunction for JsFunction {
    fn is_aggregate(&self) -> bool {
        self.script.aggregate
    }

    fn call(&self, args: &Args<'_>, _: &Context) -> Result<Value, Error> {
        let failed = |text: String| Error::call(format!("call func {} error: {text}", self.script.name));
        let mut machine = self.machine.lock();
        let ready = match &mut *machine {
            Some(ready) => ready,
            none => none.insert(Machine::new(&self.script, &self.limits).map_err(failed)?),
        };
        ready.call(&self.script.name, args, &self.limits).map_err(failed)
    }
}

impl Machine {
    fn new(script: &Script, limits: &Limits) -> Result<Machine, String> {
        let failed = |error: rquickjs::Error| format!("cannot make a JavaScript context: {error}");
        let runtime = Runtime::new().map_err(failed)?;
        runtime.set_memory_limit(limits.memory);
        runtime.set_max_stack_size(limits.stack);
        let deadline = Arc::new(Mutex::new(Instant::now() + limits.time));
        let until = deadline.clone();
        runtime.set_interrupt_handler(Some(Box::new(move || Instant::now() >= *until.lock())));
        let context = rquickjs::Context::full(&runtime).map_err(failed)?;
        context.with(|ctx| {
            let ran = ctx.eval::<(), _>(script.source.as_bytes()).catch(&ctx);
            ran.map_err(|error| format!("failed to interpret script: {}", reason(&error)))?;
            function(&ctx, &script.name).map(drop)
        })?;
        Ok(Machine { context, deadline })
    }

    fn call(&self, name: &str, args: &Args<'_>, limits: &Limits) -> Result<Value, String> {
        *self.deadline.lock() = Instant::now() + limits.time;
        self.context.with(|ctx| {
            let function = function(&ctx, name)?;
            let run = || {
                let mut values = JsArgs::new(ctx.clone(), args.len());
                for arg in args {
                    values.push_arg(to_js(&ctx, arg)?)?;
                }
                from_js(&function.call_arg(values)?)
            };
            run().catch(&ctx).map_err(|error| reason(&error))
        })
    }
}

fn function<'js>(ctx: &Ctx<'js>, name: &str) -> Result<Function<'js>, String> {
    ctx.globals().get(name).map_err(|_| format!("cannot find function \"{name}\" in script"))
}

fn reason(error: &rquickjs::CaughtError<'_>) -> String {
    match error {
        rquickjs::CaughtError::Exception(exception) => exception.message().unwrap_or_default(),
        // There was no room even for the error.
        rquickjs::CaughtError::Value(value) if value.is_null() => "out of memory".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use edgeward_functions::json::{self, Numbers, Printer};
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn make(source: &str, limits: Limits) -> JsFunction {
        JsFunction::new(Script { name: "f".into(), source: source.into(), aggregate: false }, limits)
    }

    fn call(function: &JsFunction, args: &str) -> String {
        let args = json::parse(args.as_bytes(), Numbers::WholeAsInt).unwrap();
        let args: Vec<_> = args.as_array().unwrap().iter().map(Cow::Borrowed).collect();
        match function.call(&args, &Context::default()) {
            Ok(value) => format!("{} {}", value.type_name(), Printer::new(TimeZone::UTC).text(&value).unwrap()),
            Err(error) => error.to_string(),
        }
    }

    fn check(source: &str, args: &str, expect: &str) {
        // Only what never ends by itself waits for the time to be over, however slow the machine.
        let time = Duration::from_millis(if expect == "interrupted" { 200 } else { 60_000 });
        let limits = Limits { memory: 4 << 20, time, ..Limits::default() };
        let found = call(&make(source, limits), args);
        assert!(found.contains(expect), "{source} {args}: {found}");
    }

    #[test]
    fn calls() {
        check("function f(a, b) { return a + b }", "[1, 2]", "int64 3");
        check("function f(a, b) { return a + b }", "[1.5, 2]", "float64 3.5");
        check("function f(a, b) { return a + b }", r#"["x", 2]"#, "string \"x2\"");
        check(
            "function f(a) { return a.b[1] }",
            r#"[{"b": [1, {"c": null}]}]"#,
            r#"map[string]interface {} {"c":null}"#,
        );
        check("function f(a) { return a.map(x => x * 2) }", "[[1, 2]]", "[]interface {} [2,4]");
        check("function f() { return undefined }", "[]", "<nil> null");
        check("function f(a) { return a === null }", "[null]", "bool true");
        check("function f() { return 9007199254740993n }", "[]", "int64 9007199254740993");
        check("function f() { return new Date(0) }", "[]", "time.Time \"1970-01-01T00:00:00Z\"");
        check("function f() { return new Uint8Array([104, 105]) }", "[]", "[]uint8 \"aGk=\"");
        check("var n = 0; function f() { return ++n }", "[]", "int64 1");
    }

    #[test]
    fn errors() {
        check("function f() { throw new Error('no') }", "[]", "call func f error: no");
        check("function f() { return g() }", "[]", "g is not defined");
        check("function g() {}", "[]", "cannot find function \"f\" in script");
        check("function f( {", "[]", "call func f error: ");
        check("function f() { const a = {}; a.a = a; return a }", "[]", "nested too deeply");
        check("function f() { for (;;) {} }", "[]", "interrupted");
        check("for (;;) {}", "[]", "interrupted");
        check("function f() { let a = []; for (;;) a.push('x'.repeat(1000) + a.length) }", "[]", "out of memory");
        check("function f() { let a = 'x'; for (;;) a += a }", "[]", "string too long");
        check("function f() { return 'x'.repeat(8 << 20).length }", "[]", "out of memory");
        check("function f() { return 'x'.repeat(2 ** 31) }", "[]", "invalid repeat count");
        check("function f() { return new Array(1e9).fill(0) }", "[]", "out of memory");
        check("function f() { return f() + 1 }", "[]", "stack");
        check("function f(a) { return JSON.parse('['.repeat(100000)) }", "[]", "call func f error: ");
        check("function f() { return typeof require + typeof std + typeof os }", "[]", "undefinedundefinedundefined");
        check("function f() { return Symbol('x') }", "[]", "cannot be a value");
    }

    #[test]
    fn state_belongs_to_the_call_site_and_an_error_does_not_end_it() {
        let source = "var n = 0; function f(a) { n++; if (a) throw new Error('no'); return n }";
        let (one, two) = (make(source, Limits::default()), make(source, Limits::default()));
        assert_eq!(call(&one, "[0]"), "int64 1");
        assert_eq!(call(&one, "[1]"), "call func f error: no");
        assert_eq!(call(&one, "[0]"), "int64 3");
        assert_eq!(call(&two, "[0]"), "int64 1");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::Bool),
            (-(1i64 << 53)..1 << 53).prop_map(Value::Int),
            (-1e9..1e9f64).prop_map(|x| Value::Float(if x.fract() == 0.0 { x + 0.5 } else { x })),
            ".*".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::bytes),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::array),
                prop::collection::btree_map("[a-z_]{1,6}", inner, 0..5)
                    .prop_map(|map| Value::map(map.into_iter().map(|(key, value)| (key.into(), value)).collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn values_survive_a_round_trip(value in any_value()) {
            let function = make("function f(a) { return a }", Limits::default());
            let back = function.call(&[Cow::Borrowed(&value)], &Context::default()).unwrap();
            prop_assert_eq!(back, value);
        }
    }
}
