//! The part of the suite that is about kept answers.

use weir_ledger::responses::KeptResponse;

use super::Fixture;

fn kept(owner: &str, id: &str, previous: Option<&str>, created_at: i64) -> KeptResponse {
    KeptResponse {
        owner: owner.into(),
        id: id.into(),
        previous: previous.map(Into::into),
        created_at,
        expires_at: created_at + 100,
        input: format!("[\"{id}: ' ü\"]"),
        body: "{}".into(),
    }
}

pub(super) async fn answers_are_their_owners(fixture: &impl Fixture) {
    let store = fixture.open().await.unwrap();
    let responses = store.responses();
    for one in [
        kept("a", "1", None, 0),
        kept("a", "2", Some("1"), 1),
        kept("a", "3", Some("2"), 2),
        kept("b", "1", None, 0),
    ] {
        responses.keep(&one).await.unwrap();
    }
    // The same once more changes nothing.
    responses.keep(&kept("a", "1", Some("9"), 0)).await.unwrap();
    let chain = responses.chain("a", "3", 50).await.unwrap();
    assert_eq!(chain, [kept("a", "1", None, 0), kept("a", "2", Some("1"), 1), kept("a", "3", Some("2"), 2)]);
    assert_eq!(responses.chain("b", "1", 50).await.unwrap(), [kept("b", "1", None, 0)]);
    assert_eq!(responses.chain("b", "3", 50).await.unwrap(), []);
    assert!(!responses.forget("b", "2").await.unwrap());
    assert!(responses.forget("a", "1").await.unwrap());
    assert!(!responses.forget("a", "1").await.unwrap());
    // What is left says that a link is missing.
    let chain = responses.chain("a", "3", 50).await.unwrap();
    assert_eq!(chain[0], kept("a", "2", Some("1"), 1));
    assert_eq!(responses.chain("b", "1", 100).await.unwrap(), [], "it has expired");
    responses.keep(&kept("c", "1", None, 1_000)).await.unwrap();
    assert_eq!(responses.chain("a", "3", 50).await.unwrap(), [], "what expired is swept out");
}
