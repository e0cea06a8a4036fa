//! Sprig's lists, maps and defaults.

use super::{Function, Ty, function, int, strval, text, variadic};
use crate::runtime::Runtime;
use crate::value::{Elem, MAX_DEPTH, Outcome, Val, too_deep};

const A: Ty = Ty::Any;
const M: Ty = Ty::Map;
const S: Ty = Ty::Str;

pub(super) const FUNCTIONS: &[Function] = &[
    variadic("list", &[], A, |run, a| run.list(Elem::Any, a.to_vec())),
    variadic("tuple", &[], A, |run, a| run.list(Elem::Any, a.to_vec())),
    function("first", &[A], |_, a| items(&a[0], "Cannot find first on type").map(|list| pick_one(list.first()))),
    function("last", &[A], |_, a| items(&a[0], "Cannot find last on type").map(|list| pick_one(list.last()))),
    function("rest", &[A], |run, a| {
        let list = items(&a[0], "Cannot find rest on type")?;
        if list.is_empty() { Ok(Val::Nil) } else { run.list(Elem::Any, list[1..].to_vec()) }
    }),
    function("initial", &[A], |run, a| {
        let list = items(&a[0], "Cannot find initial on type")?;
        if list.is_empty() { Ok(Val::Nil) } else { run.list(Elem::Any, list[..list.len() - 1].to_vec()) }
    }),
    function("append", &[A, A], |run, a| {
        let mut list = items(&a[0], "Cannot push on type")?;
        list.push(a[1].clone());
        run.list(Elem::Any, list)
    }),
    function("prepend", &[A, A], |run, a| {
        let mut list = items(&a[0], "Cannot prepend on type")?;
        list.insert(0, a[1].clone());
        run.list(Elem::Any, list)
    }),
    variadic("concat", &[], A, |run, a| {
        let mut all = Vec::new();
        for list in a {
            let kind = list.kind();
            if !list.is_list() {
                return Err(format!("Cannot concat type {kind} as list"));
            }
            all.extend(list.items());
        }
        run.list(Elem::Any, all)
    }),
    function("reverse", &[A], |run, a| {
        let mut list = items(&a[0], "Cannot find reverse on type")?;
        list.reverse();
        run.list(Elem::Any, list)
    }),
    function("uniq", &[A], uniq),
    variadic("without", &[A], A, |run, a| {
        let mut kept = Vec::new();
        for item in items(&a[0], "Cannot find without on type")? {
            if !in_list(run, &a[1..], &item)? {
                kept.push(item);
            }
        }
        run.list(Elem::Any, kept)
    }),
    function("has", &[A, A], |run, a| {
        if a[1].is_nil() {
            return Ok(Val::Bool(false));
        }
        let list = items(&a[1], "Cannot find has on type")?;
        in_list(run, &list, &a[0]).map(Val::Bool)
    }),
    function("compact", &[A], |run, a| {
        let list = items(&a[0], "Cannot compact on type")?;
        run.list(Elem::Any, list.into_iter().filter(Val::truth_or_time).collect())
    }),
    variadic("slice", &[A], A, slice),
    function("chunk", &[Ty::Int, A], |run, a| {
        let list = items(&a[1], "Cannot chunk type")?;
        let size = usize::try_from(int(a, 0)).ok().filter(|size| *size > 0);
        let size = size.ok_or("runtime error: integer divide by zero")?;
        let chunks = list.chunks(size).map(|chunk| run.list(Elem::Any, chunk.to_vec())).collect::<Outcome<_>>()?;
        run.list(Elem::Lists, chunks)
    }),
    variadic("dict", &[], A, |run, a| {
        let pairs =
            a.chunks(2).map(|pair| Ok((strval(&pair[0])?.into(), pair.get(1).cloned().unwrap_or(Val::str("")))));
        let pairs: Vec<_> = pairs.collect::<Outcome<_>>()?;
        run.dict(Elem::Any, pairs)
    }),
    function("get", &[M, S], |_, a| Ok(a[0].member(text(a, 1)).unwrap_or(Val::str("")))),
    mutating(function("set", &[M, S, A], |run, a| {
        let Val::Dict(dict) = &a[0] else { return Err("assignment to entry in nil map".into()) };
        run.charge(128)?;
        dict.map.borrow_mut().insert(text(a, 1).into(), a[2].clone());
        Ok(a[0].clone())
    })),
    mutating(function("unset", &[M, S], |_, a| {
        if let Val::Dict(dict) = &a[0] {
            dict.map.borrow_mut().remove(text(a, 1));
        }
        Ok(a[0].clone())
    })),
    function("hasKey", &[M, S], |_, a| Ok(Val::Bool(a[0].member(text(a, 1)).is_some()))),
    variadic("pluck", &[S], M, |run, a| {
        let found = a[1..].iter().filter_map(|map| map.member(text(a, 0))).collect();
        run.list(Elem::Any, found)
    }),
    variadic("keys", &[], M, |run, a| {
        let keys = a.iter().flat_map(|map| map.members()).map(|(key, _)| Val::Str(key)).collect();
        run.list(Elem::Str, keys)
    }),
    function("values", &[M], |run, a| {
        let values = a[0].members().into_iter().map(|(_, value)| value).collect();
        run.list(Elem::Any, values)
    }),
    variadic("pick", &[M], S, |run, a| {
        let wanted = |key: &str| a[1..].iter().any(|name| matches!(name, Val::Str(name) if &**name == key));
        run.dict(Elem::Any, a[0].members().into_iter().filter(|(key, _)| wanted(key)))
    }),
    variadic("omit", &[M], S, |run, a| {
        let unwanted = |key: &str| a[1..].iter().any(|name| matches!(name, Val::Str(name) if &**name == key));
        run.dict(Elem::Any, a[0].members().into_iter().filter(|(key, _)| !unwanted(key)))
    }),
    mutating(variadic("merge", &[M], M, |run, a| merge_all(run, a, false))),
    mutating(variadic("mergeOverwrite", &[M], M, |run, a| merge_all(run, a, true))),
    variadic("dig", &[], A, dig),
    function("deepCopy", &[A], |run, a| run.deep_copy(&a[0], 0)),
    variadic("default", &[A], A, |_, a| Ok(a.get(1).filter(|given| given.truth_or_time()).unwrap_or(&a[0]).clone())),
    function("empty", &[A], |_, a| Ok(Val::Bool(!a[0].truth_or_time()))),
    variadic("coalesce", &[], A, |_, a| Ok(pick_one(a.iter().find(|item| item.truth_or_time())))),
    variadic("all", &[], A, |_, a| Ok(Val::Bool(a.iter().all(Val::truth_or_time)))),
    variadic("any", &[], A, |_, a| Ok(Val::Bool(a.iter().any(Val::truth_or_time)))),
    function("ternary", &[A, A, Ty::Bool], |_, a| Ok(a[if a[2].truth() { 0 } else { 1 }].clone())),
    function("deepEqual", &[A, A], |_, a| a[0].deep_equal(&a[1], 0).map(Val::Bool)),
    function("typeOf", &[A], |_, a| Ok(Val::str(a[0].type_name()))),
    function("typeIs", &[S, A], |_, a| Ok(Val::Bool(text(a, 0) == a[1].type_name()))),
    function("typeIsLike", &[S, A], |_, a| Ok(Val::Bool(text(a, 0) == a[1].type_name()))),
    function("kindOf", &[A], |_, a| Ok(Val::str(a[0].kind()))),
    function("kindIs", &[S, A], |_, a| Ok(Val::Bool(text(a, 0) == a[1].kind()))),
    function("fail", &[S], |_, a| Err(text(a, 0).to_owned())),
];

const fn mutating(function: Function) -> Function {
    Function { mutates: true, ..function }
}

impl Val {
    /// The opposite of sprig's `empty`.
    fn truth_or_time(&self) -> bool {
        // A struct is never empty, and the only struct is a time, which is true too.
        self.truth()
    }
}

fn pick_one(item: Option<&Val>) -> Val {
    item.cloned().unwrap_or(Val::Nil)
}

fn items(value: &Val, complaint: &str) -> Outcome<Vec<Val>> {
    if value.is_nil() {
        return Err("runtime error: invalid memory address or nil pointer dereference".into());
    }
    if value.is_list() { Ok(value.items()) } else { Err(format!("{complaint} {}", value.kind())) }
}

fn in_list(run: &mut Runtime, list: &[Val], item: &Val) -> Outcome<bool> {
    // Comparing is paid for like memory, so that a list against a list stays bounded.
    run.charge(list.len())?;
    for other in list {
        if other.deep_equal(item, 0)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(run: &mut Runtime, args: &[Val]) -> Outcome<Val> {
    let mut kept: Vec<Val> = Vec::new();
    for item in items(&args[0], "Cannot find uniq on type")? {
        if !in_list(run, &kept, &item)? {
            kept.push(item);
        }
    }
    run.list(Elem::Any, kept)
}

fn slice(run: &mut Runtime, args: &[Val]) -> Outcome<Val> {
    let list = items(&args[0], "list should be type of slice or array but")?;
    if list.is_empty() {
        return Ok(Val::Nil);
    }
    let start = args.get(1).map_or(0, super::math::to_int);
    let end = args.get(2).map_or(list.len() as i64, super::math::to_int);
    let (Ok(from), Ok(to)) = (usize::try_from(start), usize::try_from(end)) else {
        return Err("reflect.Value.Slice: slice index out of bounds".into());
    };
    let part = list.get(from..to).ok_or("reflect.Value.Slice: slice index out of bounds")?;
    let elem = if let Val::List(list) = &args[0] { list.elem } else { Elem::Any };
    run.list(elem, part.to_vec())
}

fn merge_all(run: &mut Runtime, args: &[Val], overwrite: bool) -> Outcome<Val> {
    for source in &args[1..] {
        merge(run, &args[0], source, overwrite, 0)?;
    }
    Ok(args[0].clone())
}

/// Fills what `target` lacks or holds empty, or with `overwrite` replaces it by what is not empty; maps are merged inside.
fn merge(run: &mut Runtime, target: &Val, source: &Val, overwrite: bool, depth: usize) -> Outcome<()> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    let Val::Dict(dict) = target else { return Ok(()) };
    for (key, value) in source.members() {
        run.charge(64)?;
        match target.member(&key) {
            Some(old) if old.is_map() && value.is_map() => merge(run, &old, &value, overwrite, depth + 1)?,
            Some(old) if if overwrite { !value.truth() } else { old.truth() } => {}
            _ => {
                dict.map.borrow_mut().insert(key, value);
            }
        }
    }
    Ok(())
}

fn dig(_: &mut Runtime, args: &[Val]) -> Outcome<Val> {
    let [keys @ .., default, map] = args else { return Err("dig needs at least three arguments".into()) };
    if keys.is_empty() {
        return Err("dig needs at least three arguments".into());
    }
    let mut value = map.clone();
    for key in keys {
        let wrong = |value: &Val, wanted: &str| {
            format!("interface conversion: interface {{}} is {}, not {wanted}", value.type_name())
        };
        let Val::Str(key) = key else { return Err(wrong(key, "string")) };
        if !value.is_map() {
            return Err(wrong(&value, "map[string]interface {}"));
        }
        match value.member(key) {
            Some(member) => value = member,
            None => return Ok(default.clone()),
        }
    }
    Ok(value)
}
