//! The page of providers (`docs/providers.md`): what each kind is, from its descriptor and from the catalog.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use weir_adapter::Descriptor;
use weir_adapter::descriptor::{Auth, ChainKind, Evidence};

use super::{CommandError, Output};
use crate::data;

/// Prints the page.
pub(super) fn run(output: &mut Output<'_>) -> Result<(), CommandError> {
    let page = page().map_err(|error| CommandError::Failed(error.to_string()))?;
    Ok(output.text(&page)?)
}

fn page() -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let descriptors = data::descriptors()?;
    let mut models: BTreeMap<String, usize> = BTreeMap::new();
    for model in data::catalog()?.models() {
        *models.entry(model.provider.to_string()).or_default() += 1;
    }
    let mut kinds: Vec<&Descriptor> = descriptors.values().collect();
    kinds.sort_by(|one, other| one.name.cmp(&other.name));
    let verified = kinds.iter().filter(|one| one.evidence == Evidence::Verified).count();
    let mut page = format!(
        "# Providers\n\nGenerated: `weir schema providers`. A kind is what stands under `providers.NAME.kind` in `weir.yaml`, or the name itself.\n\
         {} kinds: {verified} *verified* by recorded traffic or the vendor's API description, {} *declared* from dated documentation.\n\
         A variable that is set turns its provider on where no file names any. Models: those in the catalog, with limits and prices where these are known.\n\n\
         | kind | provider | evidence | speaks | can | key | variables | base URL | models |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        kinds.len(),
        kinds.len() - verified,
    );
    for kind in kinds {
        row(&mut page, kind, models.get(&kind.name).copied().unwrap_or(0));
    }
    Ok(page)
}

fn row(page: &mut String, kind: &Descriptor, models: usize) {
    let evidence = match kind.evidence {
        Evidence::Verified => "verified",
        Evidence::Declared => "declared",
    };
    let key = match &kind.auth {
        _ if kind.local => "optional".to_owned(),
        Auth::Bearer => "bearer".to_owned(),
        Auth::Header(name) => format!("`{name}`"),
        Auth::None => "none".to_owned(),
    };
    let key = match kind.chain {
        None => key,
        Some(ChainKind::Aws) => format!("{key}, or AWS's chain"),
        Some(ChainKind::Google) => format!("{key}, or Google's chain"),
        Some(ChainKind::Entra) => format!("{key}, or Microsoft Entra"),
    };
    let operations: Vec<String> = kind.operations.iter().map(ToString::to_string).collect();
    let variables: Vec<String> = kind.environment.iter().map(|name| format!("`{name}`")).collect();
    let title = match kind.documentation.first() {
        Some(link) => format!("[{}]({link})", kind.title),
        None => kind.title.clone(),
    };
    let _ = writeln!(
        page,
        "| `{}` | {title} | {evidence}, {} | {} | {} | {key} | {} | {} | {} |",
        kind.name,
        kind.date,
        kind.dialect,
        operations.join(", "),
        variables.join(" "),
        kind.base_url.as_deref().map_or_else(|| "your own".to_owned(), |url| format!("`{url}`")),
        if models == 0 { String::new() } else { models.to_string() },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/providers.md");
        let page = page().unwrap();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page, "UPDATE=1 writes it anew");
    }
}
