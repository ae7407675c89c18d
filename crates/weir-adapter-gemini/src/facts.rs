//! What the descriptor knows about a model, in the names that this adapter reads.
//!
//! Each fact is text under `facts` of a `model_rules` entry; the last rule that matches a model counts.
//!
//! | fact | values | meaning |
//! | --- | --- | --- |
//! | `thinking` | `none`, `budget`, `level` | what sets how long the model thinks: nothing, `thinkingBudget`, `thinkingLevel` |
//! | `effort.NAME` | a budget or a level | what `reasoning_effort: NAME` becomes; `~` before it: not quite what was asked, so it is reported |
//! | `signatures` | `required`, `optional` | whether a call in the history must carry a thought signature |
//! | `response_schema` | `openapi`, `json`, `none` | `responseSchema` (the subset), `responseJsonSchema`, or no schema |
//! | `tool_schema` | `openapi`, `json` | `parameters` (the subset) or `parametersJsonSchema` |
//! | `json_with_tools` | `yes`, `no` | whether JSON output may be asked for beside functions |
//! | `tool_mix` | `yes`, `no` | whether Google's own tools may stand beside functions |
//! | `server_tool_flag` | `yes`, `no` | whether that mix needs `includeServerSideToolInvocations` |
//! | `validated` | `yes`, `no` | whether the mode `VALIDATED` is there |
//! | `result_media` | `yes`, `no` | whether a function's result may hold pictures and documents |
//! | `part_resolution` | `yes`, `no` | whether a part may say its `mediaResolution` |
//! | `call_ids` | `yes`, `no` | whether ids of calls are taken |
//! | `system` | `yes`, `no` | whether there is a `systemInstruction` |
//! | `search_unit` | `query`, `prompt` | what a grounded search is billed by |

use weir_adapter::Descriptor;

/// What is known about one model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'d> {
    descriptor: &'d Descriptor,
    model: &'d str,
}

/// What sets how long a model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thinking {
    None,
    Budget,
    Level,
}

/// In which form schemas are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SchemaForm {
    /// The subset of OpenAPI's.
    OpenApi,
    /// JSON schema.
    Json,
    /// Not at all.
    None,
}

impl<'d> Facts<'d> {
    pub(crate) fn new(descriptor: &'d Descriptor, model: &'d str) -> Facts<'d> {
        Facts { descriptor, model }
    }

    pub(crate) fn thinking(&self) -> Thinking {
        match self.get("thinking") {
            Some("budget") => Thinking::Budget,
            Some("level") => Thinking::Level,
            _ => Thinking::None,
        }
    }

    /// What an effort becomes, and whether that is just what was asked.
    pub(crate) fn effort(&self, name: &str) -> Option<(&'d str, bool)> {
        let value = self.get(&format!("effort.{name}"))?;
        Some(value.strip_prefix('~').map_or((value, true), |near| (near, false)))
    }

    pub(crate) fn signatures_required(&self) -> bool {
        self.get("signatures") == Some("required")
    }

    pub(crate) fn response_schema(&self) -> SchemaForm {
        self.schema_form("response_schema")
    }

    pub(crate) fn tool_schema(&self) -> SchemaForm {
        self.schema_form("tool_schema")
    }

    /// Whether a fact of `yes` or `no` holds; not where nothing is said.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.get(name) == Some("yes")
    }

    pub(crate) fn search_by_query(&self) -> bool {
        self.get("search_unit") == Some("query")
    }

    fn schema_form(&self, name: &str) -> SchemaForm {
        match self.get(name) {
            Some("json") => SchemaForm::Json,
            Some("none") => SchemaForm::None,
            _ => SchemaForm::OpenApi,
        }
    }

    fn get(&self, name: &str) -> Option<&'d str> {
        self.descriptor.fact(self.model, name)
    }
}
