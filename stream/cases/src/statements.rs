//! `statements`: definitions executed on an empty store, with the sentences eKuiper answers.

use std::collections::BTreeMap;

use edgeward_sql::ast::{CreateStream, Statement, StreamKind, TableKind};

use crate::Step;

/// What one statement answers: lines, or the text of its refusal.
pub(crate) type Answer = Result<Vec<String>, String>;

/// The streams and tables of a case.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    by_name: BTreeMap<String, CreateStream>,
}

impl Definitions {
    /// Executes a statement.
    pub(crate) fn execute(&mut self, step: &Step) -> Answer {
        match edgeward_sql::parse(&step.sql).map_err(|error| error.to_string())? {
            Statement::Create(create) if step.replace => self.replace(*create),
            Statement::Create(create) => self.create(*create),
            Statement::Show(kind) => Ok(self.show(kind)),
            Statement::Describe(kind, name) => Ok(vec![self.get(kind, &name)?.described()]),
            Statement::Explain(kind, name) => self.get(kind, &name).map(|_| vec!["TO BE SUPPORTED".into()]),
            Statement::Drop(kind, name) => {
                self.get(kind, &name).map_err(|error| kind.fails("Drop", &error))?;
                self.by_name.remove(&name);
                Ok(vec![kind.dropped(&name)])
            }
            Statement::Select(_) => Err(format!("Invalid stream statement: {}", step.sql)),
        }
    }

    fn create(&mut self, create: CreateStream) -> Answer {
        if self.by_name.contains_key(&create.name) {
            return Err(create.exists());
        }
        check(&create).map_err(|reason| create.kind.fails("Create", &reason))?;
        Ok(vec![self.put(create).created()])
    }

    fn replace(&mut self, create: CreateStream) -> Answer {
        if let Some(old) = self.by_name.get(&create.name) {
            create.may_replace(old)?;
        }
        check(&create).map_err(|reason| create.kind.fails("Replace", &reason))?;
        Ok(vec![self.put(create).replaced()])
    }

    fn put(&mut self, create: CreateStream) -> CreateStream {
        self.by_name.insert(create.name.clone(), create.clone());
        create
    }

    fn get(&self, kind: StreamKind, name: &str) -> Result<&CreateStream, String> {
        self.by_name.get(name).filter(|create| create.kind == kind).ok_or_else(|| kind.not_found(name))
    }

    fn show(&self, kind: StreamKind) -> Vec<String> {
        let names: Vec<String> =
            self.by_name.values().filter(|create| create.kind == kind).map(|create| create.name.clone()).collect();
        if names.is_empty() { vec![format!("No {} definitions are found.", kind.word())] } else { names }
    }
}

/// What eKuiper refuses of a definition by itself.
///
/// # Errors
/// Its text.
pub(crate) fn check(create: &CreateStream) -> Result<(), String> {
    let options = &create.options;
    let memory = options.source_type.as_deref() == Some("memory");
    if options.kind == Some(TableKind::Lookup) && memory && options.key.is_none() {
        return Err("'KEY' is required for memory lookup table".into());
    }
    Ok(())
}
