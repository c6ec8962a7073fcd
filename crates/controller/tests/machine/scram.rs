//! Giving users credentials and taking them away.

use std::sync::Arc;

use ottla_base::{ClusterId, ReplyToken};
use ottla_controller::{
    AlterScramError, ControllerMachine, CredentialId, Input, Record, Reply, ScramAlteration,
    ScramChange, ScramCredential, ScramMechanism,
};

use crate::support::{Cluster, settings};

const SHA_256: ScramMechanism = ScramMechanism::Sha256;
const SHA_512: ScramMechanism = ScramMechanism::Sha512;

pub(crate) fn alter(alterations: Vec<ScramAlteration>) -> impl FnOnce(ReplyToken) -> Input {
    move |token| Input::AlterScram { token, alterations }
}

/// A credential that is told from others by its number of iterations.
pub(crate) fn credential(
    user: &str,
    mechanism: ScramMechanism,
    iterations: i32,
) -> (CredentialId, Arc<ScramCredential>) {
    let user = user.to_owned();
    let credential = ScramCredential {
        salt: b"salt".to_vec(),
        iterations,
        stored_key: b"stored".to_vec(),
        server_key: b"server".to_vec(),
    };
    (CredentialId { user, mechanism }, Arc::new(credential))
}

pub(crate) fn upsert(of: &CredentialId, credential: Arc<ScramCredential>) -> ScramAlteration {
    ScramAlteration {
        user: of.user.clone(),
        change: ScramChange::Upsert(of.mechanism, credential),
    }
}

pub(crate) fn delete(of: &CredentialId) -> ScramAlteration {
    ScramAlteration {
        user: of.user.clone(),
        change: ScramChange::Delete(of.mechanism),
    }
}

fn put(user: &str, mechanism: ScramMechanism, iterations: i32) -> ScramAlteration {
    let (of, credential) = credential(user, mechanism, iterations);
    upsert(&of, credential)
}

fn take(user: &str, mechanism: ScramMechanism) -> ScramAlteration {
    delete(&credential(user, mechanism, 0).0)
}

fn impossible(user: &str, error: AlterScramError) -> ScramAlteration {
    ScramAlteration {
        user: user.to_owned(),
        change: ScramChange::Impossible(error),
    }
}

/// Each user with its mechanism and iterations.
fn credentials(cluster: &Cluster) -> Vec<(&str, ScramMechanism, i32)> {
    let credentials = cluster.image().credentials();
    credentials
        .map(|(of, credential)| (&of.user[..], of.mechanism, credential.iterations))
        .collect()
}

/// What becomes of a cluster where `ann` has one credential by SHA-256.
#[track_caller]
fn check(
    alterations: Vec<ScramAlteration>,
    results: Vec<Result<(), AlterScramError>>,
    after: &[(&str, ScramMechanism, i32)],
) {
    let mut cluster = Cluster::of(&[]);
    cluster.ask(alter(vec![put("ann", SHA_256, 5000)]));
    let reply = cluster.ask(alter(alterations));
    assert_eq!(reply, Reply::AlterScram(results));
    assert_eq!(credentials(&cluster), after);
}

const BEFORE: &[(&str, ScramMechanism, i32)] = &[("ann", SHA_256, 5000)];

#[test]
fn a_user_has_one_credential_for_each_mechanism() {
    let replaced = vec![put("ann", SHA_256, 6000)];
    check(replaced, vec![Ok(())], &[("ann", SHA_256, 6000)]);
    let second = vec![put("ann", SHA_512, 6000)];
    let both = [("ann", SHA_256, 5000), ("ann", SHA_512, 6000)];
    check(second, vec![Ok(())], &both);
    check(vec![take("ann", SHA_256)], vec![Ok(())], &[]);
    check(
        vec![take("ann", SHA_256), put("bob", SHA_512, 4096)],
        vec![Ok(()), Ok(())],
        &[("bob", SHA_512, 4096)],
    );
    check(vec![], vec![], BEFORE);
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    use AlterScramError::{Absent, TooFewIterations, TooManyIterations, UnknownMechanism, Unnamed};
    for (alteration, error) in [
        (take("ann", SHA_512), Absent),
        (take("bob", SHA_256), Absent),
        (take("", SHA_256), Unnamed),
        (put("", SHA_256, 1), Unnamed),
        (put("ann", SHA_256, 4095), TooFewIterations),
        (put("ann", SHA_256, -1), TooFewIterations),
        (put("ann", SHA_256, 16385), TooManyIterations),
        (impossible("ann", UnknownMechanism), UnknownMechanism),
        (impossible("", UnknownMechanism), Unnamed),
    ] {
        check(vec![alteration], vec![Err(error)], BEFORE);
    }
    for iterations in [4096, 16384] {
        let allowed = vec![put("ann", SHA_256, iterations)];
        check(allowed, vec![Ok(())], &[("ann", SHA_256, iterations)]);
    }
}

#[test]
fn a_user_that_is_named_twice_keeps_what_it_has() {
    use AlterScramError::{Absent, Repeated, TooFewIterations};
    for (alterations, error) in [
        (vec![take("ann", SHA_256), take("ann", SHA_512)], Repeated),
        (
            vec![take("ann", SHA_256), put("ann", SHA_256, 6000)],
            Repeated,
        ),
        (
            vec![put("ann", SHA_256, 6000), put("ann", SHA_512, 6000)],
            Repeated,
        ),
        (
            vec![put("ann", SHA_256, 6000), put("ann", SHA_256, 1)],
            Repeated,
        ),
        (
            vec![put("ann", SHA_256, 1), put("ann", SHA_256, 6000)],
            TooFewIterations,
        ),
        (
            vec![take("ann", SHA_512), put("ann", SHA_512, 6000)],
            Absent,
        ),
    ] {
        let mut cluster = Cluster::of(&[]);
        cluster.ask(alter(vec![put("ann", SHA_256, 5000)]));
        let others = [put("bob", SHA_256, 4096)];
        let reply = cluster.ask(alter(alterations.into_iter().chain(others).collect()));
        let refused = || Err(error.clone());
        assert_eq!(reply, Reply::AlterScram(vec![refused(), refused(), Ok(())]));
        let after = [("ann", SHA_256, 5000), ("bob", SHA_256, 4096)];
        assert_eq!(credentials(&cluster), after);
    }
}

#[test]
fn a_cluster_is_made_with_credentials_and_gets_them_once() {
    let start = |cluster: &mut Cluster| {
        cluster.ask(|token| Input::Bootstrap {
            token,
            cluster: ClusterId::from("c"),
            credentials: vec![credential("ann", SHA_512, 4096)],
        })
    };
    let mut cluster = Cluster::empty();
    assert_eq!(start(&mut cluster), Reply::Bootstrap(Ok(())));
    assert_eq!(credentials(&cluster), [("ann", SHA_512, 4096)]);
    cluster.ask(alter(vec![take("ann", SHA_512)]));
    cluster.restart();
    assert_eq!(start(&mut cluster), Reply::Bootstrap(Ok(())));
    assert_eq!(credentials(&cluster), []);
}

#[test]
fn nothing_that_is_printed_shows_a_key() {
    let (of, credential) = credential("ann", SHA_256, 4096);
    let record = Record::Scram {
        of: of.clone(),
        credential: Some(Arc::clone(&credential)),
    };
    let mut machine = ControllerMachine::new(settings());
    ottla_base::Machine::apply(&mut machine, &record);
    let input = alter(vec![upsert(&of, credential)])(ReplyToken(1));
    let shown = format!("{record:?} {input:?} {machine:?}");
    assert_eq!(shown.matches("iterations: 4096").count(), 3, "{shown}");
    for secret in ["salt", "key", "115, "] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}
