//! Functions from WebAssembly modules, run by an interpreter with limits on memory and work.
//!
//! The ABI is Edgeward's own (eKuiper 2 documents Wasm but has no code for it): a core module without imports that exports
//! - `memory`,
//! - `alloc(len: i32) -> i32`: room for `len` bytes, valid until the next call,
//! - each function as `NAME(ptr: i32, len: i32) -> i64`: takes a JSON array of the arguments at `ptr`, answers
//!   `address << 32 | length` of a JSON value.
//!
//! Each call site of a rule has an instance of its own, made by its first call and made anew after a trap.

use std::fmt;
use std::sync::Arc;

use edgeward_functions::json::{self, Numbers, Printer};
use edgeward_functions::{Args, Context, Error, UserFunction, Value};
use parking_lot::Mutex;
use wasmi::{Config, Engine, Instance, Linker, Memory, Module, Store, StoreLimits, StoreLimitsBuilder, TypedFunc};

/// Limits of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest module in bytes.
    pub module: usize,
    /// Memory of an instance in bytes.
    pub memory: usize,
    /// Fuel of one call: about one for an instruction.
    pub fuel: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { module: 16 << 20, memory: 16 << 20, fuel: 500_000_000 }
    }
}

/// A module that was checked. Clones are the same module.
#[derive(Clone)]
pub struct WasmModule {
    module: Module,
    limits: Limits,
}

/// One function of a module at one call site.
pub struct WasmFunction {
    name: Arc<str>,
    module: WasmModule,
    machine: Mutex<Option<Machine>>,
}

struct Machine {
    store: Store<StoreLimits>,
    memory: Memory,
    alloc: TypedFunc<i32, i32>,
    run: TypedFunc<(i32, i32), i64>,
}

impl fmt::Debug for WasmFunction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("WasmFunction").field("name", &self.name).finish_non_exhaustive()
    }
}

impl WasmModule {
    /// Reads a module.
    ///
    /// # Errors
    /// It is too large, not valid, or wants something imported.
    pub fn new(bytes: &[u8], limits: Limits) -> Result<WasmModule, String> {
        if bytes.len() > limits.module {
            return Err(format!("module is larger than {} bytes", limits.module));
        }
        let mut config = Config::default();
        config.consume_fuel(true);
        let module = Module::new(&Engine::new(&config), bytes).map_err(|error| error.to_string())?;
        if let Some(import) = module.imports().next() {
            return Err(format!("module wants {}.{}; nothing can be imported", import.module(), import.name()));
        }
        let module = WasmModule { module, limits };
        module.functions().try_for_each(|name| Machine::new(&module, name).map(drop))?;
        Ok(module)
    }

    /// Names of its functions: every export of the right shape.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        use wasmi::ValType::{I32, I64};
        let fits = |export: &wasmi::ExportType<'_>| {
            export.ty().func().is_some_and(|ty| ty.params() == [I32, I32] && ty.results() == [I64])
        };
        self.module.exports().filter(fits).map(|export| export.name())
    }

    /// A function for one call site; nothing runs before its first call. None if there is none of this name.
    pub fn function(&self, name: &str) -> Option<WasmFunction> {
        let found = self.functions().any(|known| known == name);
        found.then(|| WasmFunction { name: name.into(), module: self.clone(), machine: Mutex::new(None) })
    }
}

impl UserFunction for WasmFunction {
    fn is_aggregate(&self) -> bool {
        false
    }

    fn call(&self, args: &Args<'_>, context: &Context) -> Result<Value, Error> {
        let failed = |text: String| Error::call(format!("call func {} error: {text}", self.name));
        let input = arguments(args, context).map_err(failed)?;
        let mut machine = self.machine.lock();
        // Taken out: after a trap nobody knows what the instance's memory is like.
        let mut ready = match machine.take() {
            Some(ready) => ready,
            None => Machine::new(&self.module, &self.name).map_err(failed)?,
        };
        let answer = ready.call(&input, self.module.limits.fuel).map_err(failed)?;
        *machine = Some(ready);
        json::parse(&answer, Numbers::WholeAsInt).map_err(|error| failed(format!("its answer: {error}")))
    }
}

fn arguments(args: &Args<'_>, context: &Context) -> Result<Vec<u8>, String> {
    let printer = Printer::new(context.zone.clone());
    let mut input = vec![b'['];
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            input.push(b',');
        }
        printer.write(arg, &mut input).map_err(|error| error.to_string())?;
    }
    input.push(b']');
    Ok(input)
}

impl Machine {
    fn new(module: &WasmModule, name: &str) -> Result<Machine, String> {
        let limits = StoreLimitsBuilder::new().memory_size(module.limits.memory).instances(1).memories(1).build();
        let mut store = Store::new(module.module.engine(), limits);
        store.limiter(|limits| limits);
        store.set_fuel(module.limits.fuel).map_err(text)?;
        let linker = Linker::new(module.module.engine());
        let instance: Instance = linker.instantiate_and_start(&mut store, &module.module).map_err(text)?;
        let memory = instance.get_memory(&store, "memory").ok_or("module exports no memory")?;
        let alloc = instance.get_typed_func(&store, "alloc").map_err(|_| "module exports no alloc(i32) -> i32")?;
        let run = instance.get_typed_func(&store, name).map_err(text)?;
        Ok(Machine { store, memory, alloc, run })
    }

    fn call(&mut self, input: &[u8], fuel: u64) -> Result<Vec<u8>, String> {
        self.store.set_fuel(fuel).map_err(text)?;
        let size = i32::try_from(input.len()).map_err(|_| "the arguments are too large")?;
        let place = self.alloc.call(&mut self.store, size).map_err(text)?;
        let at = usize::try_from(place.cast_unsigned()).map_err(|_| "alloc answered a bad address")?;
        self.memory.write(&mut self.store, at, input).map_err(|_| "alloc answered a bad address")?;
        let answer = self.run.call(&mut self.store, (place, size)).map_err(text)?.cast_unsigned();
        let start = usize::try_from(answer >> 32).map_err(|_| "answer is outside the memory")?;
        let size = usize::try_from(answer & 0xffff_ffff).map_err(|_| "answer is outside the memory")?;
        let data = self.memory.data(&self.store);
        let bytes =
            start.checked_add(size).and_then(|end| data.get(start..end)).ok_or("answer is outside the memory")?;
        Ok(bytes.to_vec())
    }
}

fn text(error: wasmi::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    /// `echo` answers its arguments, `spin` never ends, `bad` answers what is not there, `grow` wants 64 MiB.
    const MODULE: &str = r#"(module
        (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) i32.const 1024)
        (func (export "echo") (param i32 i32) (result i64)
            local.get 0 i64.extend_i32_u i64.const 32 i64.shl local.get 1 i64.extend_i32_u i64.or)
        (func (export "spin") (param i32 i32) (result i64) (loop br 0) unreachable)
        (func (export "bad") (param i32 i32) (result i64) i64.const -1)
        (func (export "grow") (param i32 i32) (result i64)
            (i32.store8 (i32.const 0) (i32.add (i32.const 49) (memory.grow (i32.const 1024))))
            i64.const 1))"#;

    fn check(name: &str, args: &str, expect: &str) {
        let module = WasmModule::new(MODULE.as_bytes(), Limits { fuel: 100_000, ..Limits::default() }).unwrap();
        let function = module.function(name).unwrap();
        let args = json::parse(args.as_bytes(), Numbers::WholeAsInt).unwrap();
        let args: Vec<_> = args.as_array().unwrap().iter().map(Cow::Borrowed).collect();
        // Twice: a trap must not spoil the next call.
        for _ in 0..2 {
            let found = match function.call(&args, &Context::default()) {
                Ok(value) => Printer::new(jiff::tz::TimeZone::UTC).text(&value).unwrap(),
                Err(error) => error.to_string(),
            };
            assert!(found.contains(expect), "{name}: {found}");
        }
    }

    #[test]
    fn calls() {
        check("echo", r#"[1, "x", {"a": null}]"#, r#"[1,"x",{"a":null}]"#);
        check("spin", "[]", "call func spin error: ");
        check("bad", "[]", "answer is outside the memory");
        // memory.grow answers -1: '1' - 1.
        check("grow", "[]", "0");
        let long = format!("[\"{}\"]", "x".repeat(70_000));
        check("echo", &long, "alloc answered a bad address");
    }

    #[test]
    fn modules() {
        let check = |text: &str, expect: &str| {
            let made = WasmModule::new(text.as_bytes(), Limits::default());
            let found = made.map_or_else(|error| error, |module| module.functions().collect::<Vec<_>>().join(","));
            assert!(found.contains(expect), "{text}: {found}");
        };
        check(MODULE, "bad,echo,grow,spin");
        check(r#"(module (import "a" "b" (func)))"#, "module wants a.b; nothing can be imported");
        check(r#"(module (func (export "f") (param i32 i32) (result i64) i64.const 0))"#, "exports no memory");
        check("(module (memory 9999))", "");
        let bytes: Result<_, _> = WasmModule::new(b"\0asm????", Limits::default()).map(drop);
        assert!(bytes.is_err());
    }
}
