//! All rules: what is on disk and in memory. Their lives are in `life`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use crate::definition::{Brief, Defaults, Definition};
use crate::error::{Code, Result, RulesError};
use crate::life::{Rule, State};
use crate::run::World;
use crate::store::Kind;
use crate::{secrets, status};

/// The rules. Every change holds `changes`, so that disk and memory agree.
pub(crate) struct Registry {
    pub(crate) world: World,
    pub(crate) rules: RwLock<BTreeMap<String, Arc<Rule>>>,
    pub(crate) changes: tokio::sync::Mutex<()>,
    /// `basic.timezone`; `/configs` may change it.
    pub(crate) zone: RwLock<TimeZone>,
    /// Options of rules that do not say otherwise.
    pub(crate) rule_options: Map<String, Value>,
    pub(crate) max_definitions: usize,
    /// `basic.rulePatrolInterval`.
    pub(crate) patrol: Duration,
}

impl Registry {
    /// The time zone of rules that are read or started now.
    pub(crate) fn zone(&self) -> TimeZone {
        self.zone.read().clone()
    }

    /// What rules that are read now need not say themselves.
    pub(crate) fn defaults(&self) -> Defaults {
        Defaults { zone: self.zone(), options: self.rule_options.clone() }
    }

    /// Takes the stored rules in and starts those that ran.
    pub(crate) fn boot(self: &Arc<Self>) -> Result<()> {
        for (id, text) in self.world.store.load(Kind::Rule)? {
            let definition = match Definition::parse(&text, Some(&id), &self.defaults()) {
                Ok(definition) => definition,
                Err(error) => {
                    tracing::error!(rule = id, %error, "a stored rule cannot be read and is left out; delete and create it again");
                    continue;
                }
            };
            self.begin(&definition);
        }
        Ok(())
    }

    pub(crate) fn get(&self, id: &str) -> Result<Arc<Rule>> {
        self.rules
            .read()
            .get(id)
            .cloned()
            .ok_or_else(|| RulesError::not_found(format!("Rule {id} is not found in registry")))
    }

    /// What a rule's document says.
    pub(crate) fn definition(&self, rule: &Rule) -> Result<Definition> {
        Definition::parse(&rule.document(), None, &self.defaults())
    }

    /// What the document of the rule of this id says.
    pub(crate) fn definition_of(&self, id: &str) -> Result<Definition> {
        self.definition(&*self.get(id)?)
    }

    /// `[{id,name,status,version,trace,tags}]`. A rule without a name is shown by its id, one without tags with null.
    pub(crate) fn list(&self) -> Value {
        let entry = |(id, rule): (&String, &Arc<Rule>)| {
            let Brief { name, version, tags, .. } = Brief::read(&rule.document());
            let state = rule.life.lock().state.text();
            let name = if name.is_empty() { id } else { &name };
            let tags = (!tags.is_empty()).then_some(&tags);
            let trace = self.world.traces.is_on(id);
            json!({"id": id, "name": name, "status": state, "version": version, "trace": trace, "tags": tags})
        };
        Value::Array(self.rules.read().iter().map(entry).collect())
    }

    /// The document as it is kept, secrets hidden.
    pub(crate) fn document(&self, id: &str) -> Result<Value> {
        let rule = self.rules.read().get(id).cloned();
        let rule = rule.ok_or_else(|| RulesError::not_found(format!("Rule {id} is not found.")))?;
        Ok(secrets::masked(&self.definition(&rule)?.document))
    }

    /// Creates a rule and starts it unless it is not to be triggered. Returns its id.
    pub(crate) async fn create(self: &Arc<Self>, id: Option<&str>, text: &str) -> Result<String> {
        let _changes = self.changes.lock().await;
        let definition = self.new_rule(id, text, 0)?;
        let id = definition.id.clone();
        self.save(&definition).await?;
        self.begin(&definition);
        Ok(id)
    }

    /// Creates many rules, each given by its id and its text, with one write to the disk; answers each one's id or why there
    /// is none.
    pub(crate) async fn create_many(self: &Arc<Self>, texts: Vec<(String, String)>) -> Vec<Result<String>> {
        let _changes = self.changes.lock().await;
        let mut new = BTreeMap::new();
        let mut results = Vec::with_capacity(texts.len());
        for (id, text) in texts {
            let made = self.new_rule(Some(&id), &text, new.len()).and_then(|definition| {
                match new.contains_key(&definition.id) {
                    true => Err(exists(&definition.id)),
                    false => Ok(definition),
                }
            });
            results.push(made.map(|definition| {
                let id = definition.id.clone();
                new.insert(id.clone(), definition);
                id
            }));
        }
        let kept = new.values().filter(|definition| !definition.temp);
        let kept = kept.map(|definition| (definition.id.clone(), definition.stored())).collect();
        if let Err(error) = self.world.store.put_many(Kind::Rule, kept).await {
            let failed = || Err(RulesError::refused(Code::Io, error.to_string()));
            return results.into_iter().map(|result| result.and_then(|_| failed())).collect();
        }
        new.values().for_each(|definition| self.begin(definition));
        results
    }

    /// Reads and checks a rule that is to be created; `more` are to be created with it.
    fn new_rule(&self, id: Option<&str>, text: &str, more: usize) -> Result<Definition> {
        let definition = Definition::parse(text, id, &self.defaults())?;
        let count = {
            let rules = self.rules.read();
            if rules.contains_key(&definition.id) {
                return Err(exists(&definition.id));
            }
            rules.len()
        };
        if count + more + self.world.catalog.len() >= self.max_definitions {
            return Err(RulesError::refused(Code::Rule, "too many rules and streams; drop some or raise the limit"));
        }
        self.world.check_all(&definition)?;
        Ok(definition)
    }

    /// Begins the life of a rule that is on disk. It is there even if it cannot run: its status says why.
    fn begin(self: &Arc<Self>, definition: &Definition) {
        let rule = Rule::new(definition);
        // Nobody else knows the rule yet.
        let _commands = rule.commands.try_lock();
        self.rules.write().insert(definition.id.clone(), rule.clone());
        if definition.triggered
            && let Err(error) = self.engage(&rule, definition)
        {
            tracing::error!(rule = definition.id, %error, "rule cannot be started");
        }
    }

    /// Stops and removes all rules, with one write to the disk.
    pub(crate) async fn delete_all(&self) -> Result<()> {
        let rules = {
            let _changes = self.changes.lock().await;
            self.world.store.delete_all(Kind::Rule).await?;
            std::mem::take(&mut *self.rules.write())
        };
        for (id, rule) in rules {
            self.bury(&id, &rule).await;
        }
        Ok(())
    }

    /// Ends a rule that is no longer on disk.
    async fn bury(&self, id: &str, rule: &Rule) {
        let _commands = rule.commands.lock().await;
        self.world.traces.forget(id);
        self.halt(rule, "canceled manually").await;
        let saves = rule.life.lock().run.as_ref().is_some_and(|run| run.saves.is_some());
        if saves && let Err(error) = self.world.store.forget_state(id).await {
            tracing::warn!(rule = id, %error, "the last state of a deleted rule cannot be deleted");
        }
        self.world.forget_caches(id).await;
    }

    /// Replaces a rule, or creates it. The old one runs until the new one is checked and on disk. Returns whether it
    /// replaced one.
    pub(crate) async fn update(self: &Arc<Self>, id: &str, text: &str) -> Result<bool> {
        let Ok(rule) = self.get(id) else {
            self.create(Some(id), text).await?;
            return Ok(false);
        };
        let _commands = rule.commands.lock().await;
        let new = self.newer(&rule, id, text)?;
        {
            let _changes = self.changes.lock().await;
            self.get(id)?;
            match new.temp {
                // What was kept before must not come back.
                true => self.world.store.delete(Kind::Rule, id).await?,
                false => self.save(&new).await?,
            }
        }
        self.halt(&rule, "stopped by update").await;
        self.world.store.forget_state(id).await?;
        rule.redefine(&new);
        self.world.store.forget_state(id).await?;
        if new.triggered
            && let Err(error) = self.engage(&rule, &new)
        {
            tracing::error!(rule = id, %error, "rule cannot be started");
        }
        Ok(true)
    }

    /// Reads and checks what is to replace a rule.
    fn newer(&self, rule: &Rule, id: &str, text: &str) -> Result<Definition> {
        let old: Map<String, Value> = serde_json::from_str(&rule.document()).unwrap_or_default();
        let known = old.get("version").and_then(Value::as_str).unwrap_or_default();
        let mut new = Definition::parse(text, Some(id), &self.defaults())?;
        secrets::restore(&mut new.document, &old);
        let new = Definition::new(new.document, Some(id), &self.defaults())?;
        let version = new.version.as_str();
        if !(version.is_empty() && known.is_empty()) && version <= known {
            let message = format!("rule {id} already exists with version ({known}), new version ({version}) is lower");
            return Err(RulesError::refused(Code::Rule, message));
        }
        self.world.check_all(&new)?;
        Ok(new)
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<()> {
        let rule = {
            let _changes = self.changes.lock().await;
            let rule = self.get(id)?;
            self.world.store.delete(Kind::Rule, id).await?;
            self.rules.write().remove(id);
            rule
        };
        self.bury(id, &rule).await;
        Ok(())
    }

    pub(crate) async fn start(self: &Arc<Self>, id: &str) -> Result<()> {
        let rule = self.get(id)?;
        let _commands = rule.commands.lock().await;
        let definition = self.trigger(&rule, true).await?;
        let state = rule.life.lock().state;
        if matches!(state, State::Running | State::Scheduled) { Ok(()) } else { self.engage(&rule, &definition) }
    }

    pub(crate) async fn stop(&self, id: &str) -> Result<()> {
        let rule = self.get(id)?;
        let _commands = rule.commands.lock().await;
        self.trigger(&rule, false).await?;
        self.halt(&rule, "canceled manually").await;
        Ok(())
    }

    pub(crate) async fn restart(self: &Arc<Self>, id: &str) -> Result<()> {
        let rule = self.get(id)?;
        let _commands = rule.commands.lock().await;
        let definition = self.trigger(&rule, true).await?;
        self.halt(&rule, "canceled manually").await;
        self.engage(&rule, &definition)
    }

    /// Changes the tags of a rule.
    pub(crate) async fn tag(&self, id: &str, change: impl FnOnce(Vec<String>) -> Vec<String>) -> Result<()> {
        let rule = self.get(id)?;
        let _commands = rule.commands.lock().await;
        let _changes = self.changes.lock().await;
        let definition = self.definition(&rule)?;
        let tags = change(definition.tags.clone());
        let definition = definition.tagged(tags);
        self.save(&definition).await?;
        rule.redefine(&definition);
        Ok(())
    }

    /// Ids of the rules that have all of `tags`.
    pub(crate) fn tagged(&self, tags: &[String]) -> Vec<String> {
        let has_all = |rule: &Arc<Rule>| {
            let known = Brief::read(&rule.document()).tags;
            tags.iter().all(|tag| known.contains(tag))
        };
        self.rules.read().iter().filter(|(_, rule)| has_all(rule)).map(|(id, _)| id.clone()).collect()
    }

    /// Ids of the rules that read a stream.
    pub(crate) fn readers(&self, stream: &str) -> Vec<String> {
        let reads = |rule: &Arc<Rule>| {
            let select = self.definition(rule).and_then(|definition| Ok(edgeward_sql::parse_select(&definition.sql)?));
            select.is_ok_and(|select| {
                select.from.name == stream || select.joins.iter().any(|join| join.source.name == stream)
            })
        };
        self.rules.read().iter().filter(|(_, rule)| reads(rule)).map(|(id, _)| id.clone()).collect()
    }

    /// Status of all rules by id.
    pub(crate) fn all_status(&self) -> Value {
        let zone = self.zone();
        let rules: Vec<_> = self.rules.read().iter().map(|(id, rule)| (id.clone(), rule.clone())).collect();
        rules.into_iter().map(|(id, rule)| (id, status::of(&rule, &zone))).collect::<Map<_, _>>().into()
    }

    async fn save(&self, definition: &Definition) -> Result<()> {
        if definition.temp {
            return Ok(());
        }
        self.world.store.put(Kind::Rule, &definition.id, &definition.stored()).await
    }

    /// Notes on disk whether the rule is to run.
    async fn trigger(&self, rule: &Rule, triggered: bool) -> Result<Definition> {
        let _changes = self.changes.lock().await;
        let definition = self.definition(rule)?;
        // It may have been deleted while the command waited.
        self.get(&definition.id)?;
        if definition.triggered == triggered {
            return Ok(definition);
        }
        let definition = definition.triggered(triggered);
        self.save(&definition).await?;
        rule.redefine(&definition);
        Ok(definition)
    }
}

fn exists(id: &str) -> RulesError {
    RulesError::refused(Code::Rule, format!("rule {id} already exists"))
}
