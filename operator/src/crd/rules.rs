//! CEL rules that several fields share. Each message says what to write and gives an example, which the API server's own
//! message about a `pattern` does not.

use super::duration::PATTERN;
use kube::core::Rule;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// Most networks that a load balancer lets in.
const MAX_SOURCE_RANGES: u32 = 64;

/// A duration of at least `least` and at most `most`. One rule for its form and its bounds, so that one slip is one complaint.
pub fn duration(least: &str, most: &str, example: &str) -> Rule {
    let within = format!("duration(self) >= duration('{least}') && duration(self) <= duration('{most}')");
    Rule::new(format!("self.matches(r'{PATTERN}') && {within}")).message(&*format!(
        "must be a duration with its unit between {least} and {most}, such as `{example}`"
    ))
}

/// A text that fits `pattern`; `what` says so in words, with an example.
pub fn text(pattern: &str, what: &str) -> Rule {
    Rule::new(format!("self.matches(r'{pattern}')")).message(&*format!("must be {what}"))
}

/// Of the object itself. What the API server refuses by its own rule for names is its own complaint, and not ours as well.
pub fn name() -> Rule {
    let of_kubernetes = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    Rule::new(format!(
        "!self.metadata.name.matches(r'{of_kubernetes}') || \
         self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')"
    ))
    .message(
        "must be at most 40 of a-z, 0-9 and `-`, and begin with a letter, such as `live`: pods and Services get names \
         made from it",
    )
    .field_path(".metadata.name")
}

/// Keys that are not the operator's own.
pub fn keys_of_others() -> Rule {
    Rule::new("self.all(k, !k.startsWith('app.kubernetes.io/') && !k.startsWith('sfumato.dev/'))").message(
        "keys under app.kubernetes.io/ and sfumato.dev/ are the operator's own: choose another, such as `example.com/team`",
    )
}

/// Schema of one quantity of a container: a number, or a text.
pub fn quantity() -> Value {
    json!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 64,
        "x-kubernetes-validations": [{
            "rule": "isQuantity(string(self)) && !string(self).startsWith('-')",
            "message": "must be a quantity of 0 or more, such as `500m` or `2` of cpu, and `512Mi` or `2Gi` of memory",
        }],
    })
}

/// Networks in CIDR notation.
pub fn source_ranges_schema(_: &mut SchemaGenerator) -> Schema {
    let rule = Rule::new("isCIDR(self)").message("must be a network, such as `203.0.113.0/24` or `2001:db8::/32`");
    json_schema!({
        "type": "array",
        "maxItems": MAX_SOURCE_RANGES,
        "items": { "type": "string", "minLength": 1, "maxLength": 64, "x-kubernetes-validations": [rule] },
    })
}
