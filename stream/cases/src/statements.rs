//! `statements`: definitions executed on an empty store, with the sentences eKuiper answers.

use std::collections::BTreeMap;

use edgeward_sql::ast::{CreateStream, DataType, Statement, StreamKind, TableKind};

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
            Statement::Describe(kind, name) => Ok(vec![describe(self.get(kind, &name)?)]),
            Statement::Explain(kind, name) => self.get(kind, &name).map(|_| vec!["TO BE SUPPORTED".into()]),
            Statement::Drop(kind, name) => {
                self.get(kind, &name).map_err(|error| format!("Drop {} fails: {error}.", word(kind)))?;
                self.by_name.remove(&name);
                Ok(vec![format!("{} {name} is dropped.", title(kind))])
            }
            Statement::Select(_) => Err(format!("Invalid stream statement: {}", step.sql)),
        }
    }

    fn create(&mut self, create: CreateStream) -> Answer {
        let (kind, name) = (create.kind, create.name.clone());
        let fails = |reason: &str| Err(format!("Create {} fails: {reason}.", word(kind)));
        if self.by_name.contains_key(&name) {
            return fails(&format!("Item {name} already exists"));
        }
        if let Err(reason) = check(&create) {
            return fails(&reason);
        }
        self.by_name.insert(name.clone(), create);
        Ok(vec![format!("{} {name} is created.", title(kind))])
    }

    fn replace(&mut self, create: CreateStream) -> Answer {
        let (kind, name) = (create.kind, create.name.clone());
        let fails = |reason: &str| Err(format!("Replace {} fails: {reason}.", word(kind)));
        if let Some(old) = self.by_name.get(&name) {
            let version = |create: &CreateStream| create.options.version.clone().unwrap_or_default();
            let (new, old_version) = (version(&create), version(old));
            if !(new.is_empty() && old_version.is_empty()) && new <= old_version {
                return fails(&format!(
                    "source {name} already exists with version ({old_version}), new version ({new})"
                ));
            }
            if old.options.shared != create.options.shared {
                return fails("SHARED cannot be changed");
            }
        }
        if let Err(reason) = check(&create) {
            return fails(&reason);
        }
        self.by_name.insert(name.clone(), create);
        Ok(vec![format!("{} {name} is replaced.", title(kind))])
    }

    fn get(&self, kind: StreamKind, name: &str) -> Result<&CreateStream, String> {
        let found = self.by_name.get(name).filter(|create| create.kind == kind);
        found.ok_or_else(|| format!("{} {name} is not found.", title(kind)))
    }

    fn show(&self, kind: StreamKind) -> Vec<String> {
        let names: Vec<String> =
            self.by_name.values().filter(|create| create.kind == kind).map(|create| create.name.clone()).collect();
        if names.is_empty() { vec![format!("No {} definitions are found.", word(kind))] } else { names }
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

fn describe(create: &CreateStream) -> String {
    let mut out = format!("Fields\n{}\n", "-".repeat(80));
    for field in &create.fields {
        out.push_str(&format!("{}\t{}\n", field.name, type_name(&field.data_type)));
    }
    out.push('\n');
    let options = &create.options;
    let lines = [
        ("CONF_KEY", options.conf_key.clone()),
        ("DATASOURCE", options.datasource.clone()),
        ("FORMAT", options.format.clone()),
        ("SCHEMAID", options.schema_id.clone()),
        ("KEY", options.key.clone()),
        ("RETAIN_SIZE", options.retain_size.map(|size| size.to_string())),
        ("SHARED", options.shared.then(|| "true".into())),
        ("STRICT_VALIDATION", options.strict_validation.then(|| "true".into())),
        ("TIMESTAMP", options.timestamp.clone()),
        ("TIMESTAMP_FORMAT", options.timestamp_format.clone()),
        ("TYPE", options.source_type.clone()),
    ];
    for (key, value) in lines {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            out.push_str(&format!("{key}: {value}\n"));
        }
    }
    out
}

/// A type as DESCRIBE prints it: its words in small letters, names of members as they are.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Array(item) => format!("array({})", type_name(item)),
        DataType::Struct(fields) => {
            let members: Vec<String> =
                fields.iter().map(|field| format!("{} {}", field.name, type_name(&field.data_type))).collect();
            format!("struct({})", members.join(", "))
        }
        simple => simple.to_string().to_ascii_lowercase(),
    }
}

fn title(kind: StreamKind) -> &'static str {
    if kind == StreamKind::Stream { "Stream" } else { "Table" }
}

fn word(kind: StreamKind) -> &'static str {
    if kind == StreamKind::Stream { "stream" } else { "table" }
}
