//! Every kind of collection cleared by each method: what is left is the same collection without objects.

use std::path::Path;

use elysiactl::commands::{ClearMethod, Session, clear, plan_clear};
use elysiactl::weaviate::Connection;

use super::kinds::{self, Kind};
use super::server::Server;

const METHODS: [ClearMethod; 2] = [ClearMethod::Recreate, ClearMethod::ById];

/// The whole table, printed as it comes; the cells in which something else than the objects changed.
pub async fn table(
    connection: &Connection,
    class: &str,
    new_session: impl Fn(&Path) -> Session,
) -> Vec<String> {
    let server = Server::at(connection).await;
    println!(
        "{:34}{}",
        "cleared by",
        METHODS
            .map(|method| format!("{:10}", method.name()))
            .concat()
    );
    let mut bad = Vec::new();
    for kind in kinds::all() {
        let mut row = format!("{:34}", kind.name);
        for method in METHODS {
            server.delete(class).await;
            if let Err(refusal) = server.build(&kind, class).await {
                row += &format!("the server cannot have it: {refusal:.100}");
                break;
            }
            let folder = crate::common::scratch();
            let session = new_session(&folder.path().join("state"));
            match cleared(&server, &session, &kind, class, method).await {
                Ok(word) => row += &format!("{word:10}"),
                Err(why) => {
                    row += &format!("{:10}", "DIFFERS");
                    bad.push(format!("{} by {}: {why}", kind.name, method.name()));
                }
            }
        }
        println!("{row}");
    }
    server.delete(class).await;
    bad
}

async fn cleared(
    server: &Server,
    session: &Session,
    kind: &Kind,
    class: &str,
    method: ClearMethod,
) -> Result<&'static str, String> {
    let before = server.look(class, &kind.ignored).await;
    let mut request = crate::common::clear_request(&server.connection, class);
    request.method = method;
    // Objects of a tenant that is asleep cannot be deleted by id.
    let has_sleepers = kind.tenants.iter().any(|(_, state)| *state != "HOT");
    let plan = match plan_clear(session, &request).await {
        Err(_) if has_sleepers && method == ClearMethod::ById => return Ok("refused"),
        plan => plan.map_err(|error| format!("plan: {error}"))?,
    };
    let outcome = clear(session, &request, plan)
        .await
        .map_err(|error| error.to_string())?;
    if outcome.exit_code != 0 {
        return Err(format!("{outcome:?}"));
    }
    let mut after = server.look(class, &kind.ignored).await;
    if !after.objects.is_empty() {
        return Err(format!("{} objects are left", after.objects.len()));
    }
    after.objects.clone_from(&before.objects);
    before.difference(&after).map(|()| "empty")
}
