//! What TLS took and agreed upon: of a run, and of the parts of one.

use super::figures::latency;
use crate::outcome::RunOutcome;
use crate::report::model::{LatencyFigures, TlsAgreement, TlsFigures};
use crate::scenario::Plan;

pub(super) fn tls(plan: &Plan, outcome: &RunOutcome) -> Option<TlsFigures> {
    let handshakes = outcome.totals.tls.as_deref()?;
    let agreed = handshakes.kinds.iter().map(|(kind, n)| TlsAgreement {
        protocol: kind.protocol.to_string(),
        cipher: kind.cipher.to_string(),
        handshakes: *n,
        resumed: if kind.is_resumed { *n } else { 0 },
    });
    Some(TlsFigures {
        handshake: latency(&handshakes.times),
        agreed: added(agreed),
        is_verified: !plan.network.tls.insecure,
    })
}

/// Of parts, whose handshakes took `handshake` together.
pub(in crate::report) fn merged_tls(
    parts: &[&TlsFigures],
    handshake: LatencyFigures,
) -> TlsFigures {
    let all = parts.iter().flat_map(|part| part.agreed.iter().cloned());
    TlsFigures {
        handshake,
        agreed: added(all),
        is_verified: parts.iter().all(|part| part.is_verified),
    }
}

/// Each protocol with each cipher once, most frequent first.
fn added(all: impl Iterator<Item = TlsAgreement>) -> Vec<TlsAgreement> {
    let mut sums: Vec<TlsAgreement> = Vec::new();
    for one in all {
        let same =
            |sum: &&mut TlsAgreement| (&sum.protocol, &sum.cipher) == (&one.protocol, &one.cipher);
        match sums.iter_mut().find(same) {
            Some(sum) => {
                sum.handshakes = sum.handshakes.saturating_add(one.handshakes);
                sum.resumed = sum.resumed.saturating_add(one.resumed);
            }
            None => sums.push(one),
        }
    }
    sums.sort_by(|a, b| {
        let by_name = || (&a.protocol, &a.cipher).cmp(&(&b.protocol, &b.cipher));
        b.handshakes.cmp(&a.handshakes).then_with(by_name)
    });
    sums
}
