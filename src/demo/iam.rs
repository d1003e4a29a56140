//! A small IAM in memory, with the tools and argument shapes of the real server (awslabs.iam-mcp-server).
//!
//! It checks what it is given and keeps what it is told, so that a reader of the demo sees a policy land, or not.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Users and their inline policies.
#[derive(Debug)]
pub struct Iam {
    users: BTreeMap<String, BTreeMap<String, String>>,
}

/// What the build may do as long as nobody approves more.
const READ_ONE_BUCKET: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["s3:GetObject", "s3:ListBucket"],
      "Resource": ["arn:aws:s3:::build-artifacts", "arn:aws:s3:::build-artifacts/*"]
    }
  ]
}"#;

/// Why a tool did not do what it was asked.
type Refusal = String;

impl Default for Iam {
    fn default() -> Self {
        let users = [
            ("alice", vec![]),
            ("ci-bot", vec![("build-access".to_owned(), READ_ONE_BUCKET.to_owned())]),
            ("deployer", vec![]),
        ];
        Self { users: users.into_iter().map(|(name, own)| (name.to_owned(), own.into_iter().collect())).collect() }
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

impl Iam {
    /// The tools as `tools/list` gives them.
    #[must_use]
    pub fn tools() -> Value {
        let user = json!({"type": "string", "description": "The name of the IAM user"});
        let policy = json!({"type": "string", "description": "The name of the inline policy"});
        let document = json!({
            "anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}],
            "description": "The policy document, as JSON text or as an object"
        });
        let confirmed = json!({"type": "boolean", "default": false, "description": "Confirms the change"});
        let tool = |name: &str, description: &str, properties: Value, required: Value| {
            let schema = json!({"type": "object", "properties": properties, "required": required});
            json!({"name": name, "description": description, "inputSchema": schema})
        };
        json!([
            tool("list_users", "List IAM users", json!({}), json!([])),
            tool("get_user", "Get one IAM user", json!({"user_name": user}), json!(["user_name"])),
            tool("create_user", "Create an IAM user", json!({"user_name": user}), json!(["user_name"])),
            tool("delete_user", "Delete an IAM user", json!({"user_name": user}), json!(["user_name"])),
            tool(
                "list_user_policies",
                "List the names of a user's inline policies",
                json!({"user_name": user}),
                json!(["user_name"])
            ),
            tool(
                "get_user_policy",
                "Get one inline policy of a user",
                json!({"user_name": user, "policy_name": policy}),
                json!(["user_name", "policy_name"])
            ),
            tool(
                "put_user_policy",
                "Create or replace an inline policy of a user",
                json!({
                    "user_name": user, "policy_name": policy, "policy_document": document, "confirmed": confirmed
                }),
                json!(["user_name", "policy_name", "policy_document"])
            ),
            tool(
                "delete_user_policy",
                "Delete an inline policy of a user",
                json!({"user_name": user, "policy_name": policy, "confirmed": confirmed}),
                json!(["user_name", "policy_name"])
            ),
        ])
    }

    /// Runs a tool; `None` if there is no tool of that name.
    pub fn call(&mut self, tool: &str, arguments: &Map<String, Value>) -> Option<Result<Value, Refusal>> {
        Some(match tool {
            "list_users" => Ok(json!({"users": self.users.keys().map(|name| described(name)).collect::<Vec<_>>()})),
            "get_user" => self.get_user(arguments),
            "create_user" => self.create_user(arguments),
            "delete_user" => self.delete_user(arguments),
            "list_user_policies" => self.user(arguments).map(
                |(name, policies)| json!({"user_name": name, "policy_names": policies.keys().collect::<Vec<_>>()}),
            ),
            "get_user_policy" => self.get_user_policy(arguments),
            "put_user_policy" => self.put_user_policy(arguments),
            "delete_user_policy" => self.delete_user_policy(arguments),
            _ => return None,
        })
    }

    fn user<'a>(
        &'a mut self,
        arguments: &'a Map<String, Value>,
    ) -> Result<(&'a str, &'a mut BTreeMap<String, String>), Refusal> {
        let name = text(arguments, "user_name")?;
        let policies = self.users.get_mut(name).ok_or_else(|| format!("NoSuchEntity: there is no user {name}"))?;
        Ok((name, policies))
    }

    fn get_user(&mut self, arguments: &Map<String, Value>) -> Result<Value, Refusal> {
        let (name, policies) = self.user(arguments)?;
        Ok(json!({"user": described(name), "inline_policies": policies.keys().collect::<Vec<_>>()}))
    }

    fn create_user(&mut self, arguments: &Map<String, Value>) -> Result<Value, Refusal> {
        let name = text(arguments, "user_name")?;
        if self.users.contains_key(name) {
            return Err(format!("EntityAlreadyExists: there is a user {name}"));
        }
        self.users.insert(name.to_owned(), BTreeMap::new());
        Ok(json!({"message": format!("Created user {name}"), "user": described(name)}))
    }

    fn delete_user(&mut self, arguments: &Map<String, Value>) -> Result<Value, Refusal> {
        let (name, policies) = self.user(arguments)?;
        if !policies.is_empty() {
            return Err(format!("DeleteConflict: {name} still has inline policies"));
        }
        let name = name.to_owned();
        self.users.remove(&name);
        Ok(json!({"message": format!("Deleted user {name}")}))
    }

    fn get_user_policy(&mut self, arguments: &Map<String, Value>) -> Result<Value, Refusal> {
        let policy = text(arguments, "policy_name")?;
        let (name, policies) = self.user(arguments)?;
        let document = policies.get(policy).ok_or_else(|| missing(name, policy))?;
        Ok(json!({"user_name": name, "policy_name": policy, "policy_document": document}))
    }

    fn put_user_policy(&mut self, arguments: &Map<String, Value>) -> Result<Value, Refusal> {
        confirmed(arguments)?;
        let policy = text(arguments, "policy_name")?;
        let (document, text) = match arguments.get("policy_document") {
            Some(Value::String(text)) => {
                let document = serde_json::from_str::<Value>(text);
                (document.map_err(|e| format!("MalformedPolicyDocument: {e}"))?, text.clone())
            }
            Some(object @ Value::Object(_)) => (object.clone(), pretty(object)),
            _ => return Err("ValidationError: policy_document must be JSON text or an object".into()),
        };
        if !document.get("Statement").is_some_and(|statement| statement.is_array() || statement.is_object()) {
            return Err("MalformedPolicyDocument: there is no Statement".into());
        }
        let (name, policies) = self.user(arguments)?;
        let before = policies.insert(policy.to_owned(), text);
        let verb = if before.is_some() { "replaced" } else { "created" };
        Ok(json!({
            "message": format!("Successfully {verb} inline policy {policy} for user {name}"),
            "user_name": name, "policy_name": policy
        }))
    }

    fn delete_user_policy(&mut self, arguments: &Map<String, Value>) -> Result<Value, Refusal> {
        confirmed(arguments)?;
        let policy = text(arguments, "policy_name")?;
        let (name, policies) = self.user(arguments)?;
        policies.remove(policy).ok_or_else(|| missing(name, policy))?;
        Ok(json!({"message": format!("Deleted inline policy {policy} of user {name}")}))
    }
}

fn described(name: &str) -> Value {
    json!({"user_name": name, "path": "/", "arn": format!("arn:aws:iam::123456789012:user/{name}")})
}

fn missing(user: &str, policy: &str) -> Refusal {
    format!("NoSuchEntity: user {user} has no inline policy {policy}")
}

fn text<'a>(arguments: &'a Map<String, Value>, name: &str) -> Result<&'a str, Refusal> {
    let value = arguments.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
    value.ok_or_else(|| format!("ValidationError: {name} must be a text that is not empty"))
}

fn confirmed(arguments: &Map<String, Value>) -> Result<(), Refusal> {
    match arguments.get("confirmed") {
        Some(Value::Bool(true)) => Ok(()),
        _ => Err("Confirmation required: set confirmed to true".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(iam: &mut Iam, tool: &str, arguments: &Value) -> Result<Value, Refusal> {
        iam.call(tool, arguments.as_object().unwrap()).unwrap()
    }

    #[test]
    fn a_policy_lands_as_text_or_object_and_can_be_read_back() {
        let mut iam = Iam::default();
        let document = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]});
        for document in [document.clone(), Value::String(document.to_string())] {
            let put = json!({
                "user_name": "alice", "policy_name": "p", "policy_document": document, "confirmed": true
            });
            call(&mut iam, "put_user_policy", &put).unwrap();
            let read = call(&mut iam, "get_user_policy", &json!({"user_name": "alice", "policy_name": "p"})).unwrap();
            assert!(read["policy_document"].as_str().unwrap().contains("2012-10-17"));
        }
        assert!(call(&mut iam, "delete_user", &json!({"user_name": "alice"})).unwrap_err().contains("DeleteConflict"));
    }

    #[test]
    fn bad_input_is_refused_and_changes_nothing() {
        let mut iam = Iam::default();
        for (tool, arguments) in [
            ("get_user", json!({})),
            ("get_user", json!({"user_name": 7})),
            ("get_user", json!({"user_name": "nobody"})),
            ("put_user_policy", json!({"user_name": "alice", "policy_name": "p", "policy_document": {}})),
            (
                "put_user_policy",
                json!({"user_name": "alice", "policy_name": "p", "policy_document": "{", "confirmed": true}),
            ),
            (
                "put_user_policy",
                json!({"user_name": "alice", "policy_name": "p", "policy_document": {}, "confirmed": true}),
            ),
            ("delete_user_policy", json!({"user_name": "alice", "policy_name": "p", "confirmed": true})),
        ] {
            assert!(call(&mut iam, tool, &arguments).is_err(), "{tool} {arguments}");
        }
        assert!(iam.call("no_such_tool", &Map::new()).is_none());
        assert_eq!(iam.users["alice"].len(), 0);
    }
}
