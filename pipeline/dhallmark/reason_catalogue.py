"""What each reason means, and what to do about it: the catalogue of reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dhallmark.reasons import Reason


@dataclass(frozen=True, slots=True)
class ReasonInfo:
    """What a person needs to know of a reason."""

    summary: str
    """One sentence: what the check found."""
    remedy: str
    """What to do about it, for who sees it at night."""
    indeterminate: bool = False
    """True where the check could not look: the verdict is `indeterminate`, not `rejected`."""


CATALOGUE: Mapping[Reason, ReasonInfo] = MappingProxyType(
    {
        Reason.SIGNATURE_NONE: ReasonInfo(
            "A complete listing shows no signature on the artifact.",
            "Publish it with `dhallmark release`; if it was signed, ask who pushed over it.",
        ),
        Reason.SIGNATURE_INVALID: ReasonInfo(
            "The signature does not fit the payload and the key.",
            "Treat the bundle as tampered with; fetch it again from where it was published.",
        ),
        Reason.SIGNATURE_KIND: ReasonInfo(
            "The bundle holds a bare message signature where a DSSE envelope is required.",
            "Sign a statement instead of the bare artifact.",
        ),
        Reason.ENVELOPE_MALFORMED: ReasonInfo(
            "The DSSE envelope breaks its format: no signature, several, or an undecodable payload.",
            "Treat the bundle as tampered with.",
        ),
        Reason.ENVELOPE_PAYLOAD_TYPE: ReasonInfo(
            "The DSSE payload type is not application/vnd.in-toto+json.",
            "Sign an in-toto statement.",
        ),
        Reason.BUNDLE_MALFORMED: ReasonInfo(
            "The file is not a Sigstore bundle.", "Check that the right file was given; fetch it again."
        ),
        Reason.MESSAGE_MISMATCH: ReasonInfo(
            "The bundle signs another file than the one that was given.",
            "Compare the file with the one that was signed; fetch both again from where they were published.",
        ),
        Reason.KEY_UNKNOWN: ReasonInfo(
            "The bundle is signed with a managed key, and it is none of those that are trusted.",
            "Give the key that the signer's site publishes; check which key signed.",
        ),
        Reason.KEY_OUTSIDE_VALIDITY: ReasonInfo(
            "The managed key signed outside the time in which the policy trusts it.",
            "Sign again with the key of today; a retired key must not sign anything new.",
        ),
        Reason.ARTIFACT_DIGEST_MISMATCH: ReasonInfo(
            "The bytes served are not those of the digest asked for.",
            "The registry or something before it changed the artifact: stop, and compare with another copy.",
        ),
        Reason.ARTIFACT_CONTENT_MISMATCH: ReasonInfo(
            "A file of the artifact differs from the one that the provenance names, or is not named there.",
            "Compare the file with the one in the release; publish again from the source.",
        ),
        Reason.ARTIFACT_PLATFORM: ReasonInfo(
            "The image index has no manifest, or several, for the platform that was asked for.",
            "Name the digest of the manifest that will be pulled.",
        ),
        Reason.CERTIFICATE_MISSING: ReasonInfo(
            "The bundle has no certificate, and names no managed key.",
            "Treat the bundle as tampered with; fetch it again from where it was published.",
        ),
        Reason.CERTIFICATE_ROOT_INCLUDED: ReasonInfo(
            "The bundle brings a root certificate of its own.",
            "Treat the bundle as forged: whom to trust is the trust root's to say.",
        ),
        Reason.CERTIFICATE_UNTRUSTED: ReasonInfo(
            "The certificate does not lead to an authority of the trust root.",
            "Check that the trust root is of the instance that signed.",
        ),
        Reason.CERTIFICATE_OUTSIDE_VALIDITY: ReasonInfo(
            "No verified time lies in the validity of the certificate and its chain.",
            "Sign again; check the clocks of the timestamp authority and of Fulcio.",
        ),
        Reason.CERTIFICATE_PROFILE: ReasonInfo(
            "The certificate is not one for code signing.", "Use a certificate that Fulcio issued."
        ),
        Reason.CERTIFICATE_SCT: ReasonInfo(
            "The certificate has no timestamp of a trusted certificate transparency log.",
            "Check the CT log of the instance and its key in the trust root.",
        ),
        Reason.IDENTITY_ISSUER_MISMATCH: ReasonInfo(
            "The certificate's OIDC issuer is not one that the policy allows for this statement.",
            "Check from which CI it was signed; change the policy only if that CI is meant.",
        ),
        Reason.IDENTITY_SUBJECT_MISMATCH: ReasonInfo(
            "The certificate's subject is not one that the policy allows for this statement.",
            "Check which workflow signed; change the policy only if that workflow is meant.",
        ),
        Reason.IDENTITY_EXTENSION_MISMATCH: ReasonInfo(
            "A Fulcio extension of the certificate differs from what the policy demands.",
            "Check repository, ref, trigger and commit of the run that signed.",
        ),
        Reason.IDENTITY_SUBJECT_KIND: ReasonInfo(
            "The certificate's subject is spelt as allowed and is of another kind, such as an e-mail address.",
            "Find out who got that certificate; set `subjectKind` in the policy only if that kind is meant.",
        ),
        Reason.IDENTITY_KEY_MISMATCH: ReasonInfo(
            "Signed with another key than the policy allows, or with a key where a certificate is meant.",
            "Check which key signed; change the policy only if that key is meant.",
        ),
        Reason.LOG_ENTRY_MISSING: ReasonInfo(
            "The bundle has no entry of a trusted transparency log.",
            "Sign again with the log reachable; check the log's key in the trust root.",
        ),
        Reason.LOG_ENTRY_MISMATCH: ReasonInfo(
            "The transparency log entry is about other content.", "Treat the bundle as forged."
        ),
        Reason.LOG_KEY_VALIDITY: ReasonInfo(
            "The log entry was made at a time when the log's key was not valid.",
            "Check `validFor` of the log in the trust root; a retired log's key must not sign anything new.",
        ),
        Reason.LOG_PROMISE: ReasonInfo(
            "The log's signed promise to include the entry does not fit the entry.", "Treat the bundle as forged."
        ),
        Reason.LOG_INCLUSION: ReasonInfo(
            "The inclusion proof does not lead to the checkpoint's root hash, or is missing.",
            "Fetch the bundle again; if it stays so, treat it as forged.",
        ),
        Reason.LOG_CHECKPOINT: ReasonInfo(
            "The checkpoint is missing or not signed by a log of the trust root.",
            "Fetch the bundle again; if it stays so, treat it as forged.",
        ),
        Reason.LOG_ORIGIN: ReasonInfo(
            "The checkpoint's origin is not the log that the trust root names.",
            "Check `baseUrl` of the log in the trust root against the host name that the log was started with.",
        ),
        Reason.TIMESTAMP_MISSING: ReasonInfo(
            "No trusted time: neither a signed timestamp nor an integrated time with its promise.",
            "Sign with a timestamp authority; Rekor v2 gives no time of its own.",
        ),
        Reason.TIMESTAMP_INVALID: ReasonInfo(
            "A signed timestamp is of other bytes, of an untrusted authority, doubled, or one of too many.",
            "Check the timestamp authority's chain in the trust root; otherwise treat the bundle as forged.",
        ),
        Reason.TIMESTAMP_FUTURE: ReasonInfo(
            "It was signed in the future, by a time that was verified.",
            "Check this machine's clock; if it is right, the authority's or the log's is not.",
        ),
        Reason.STATEMENT_MALFORMED: ReasonInfo(
            "The signed payload is not an in-toto Statement v1.", "Sign a statement of that type."
        ),
        Reason.STATEMENT_MISSING: ReasonInfo(
            "No valid statement of a predicate type that the policy requires.",
            "Release again; check that every referrer was copied on promotion.",
        ),
        Reason.STATEMENT_PREDICATE: ReasonInfo(
            "The predicate does not fit the schema of its type.",
            "Release again with this version of dhallmark.",
        ),
        Reason.STATEMENT_THRESHOLD: ReasonInfo(
            "Fewer different signers than the policy demands signed such a statement.",
            "Let another of the rule's identities sign; one signer counts once, whatever it signs.",
        ),
        Reason.SUBJECT_MISMATCH: ReasonInfo(
            "No subject of the statement has the artifact's digest: it was made for another artifact.",
            "Treat the bundle as replayed.",
        ),
        Reason.SUBJECT_NAME: ReasonInfo(
            "The subject's name is not that of this artifact in this environment.",
            "An attestation of another environment was used; release for this one.",
        ),
        Reason.SUBJECT_TOO_MANY: ReasonInfo(
            "The statement has more subjects than the policy allows.",
            "Split the release, or raise the limit.",
        ),
        Reason.SUBJECT_EXTRA: ReasonInfo(
            "The statement is also about something that is no part of this artifact.",
            "Make one statement for each artifact; set `subjects` in the policy's rule if that builder signs several.",
        ),
        Reason.SUBJECT_ALGORITHM: ReasonInfo(
            "A subject of the statement has no SHA-256 digest, only others.",
            "Sign a statement whose subjects all have one.",
        ),
        Reason.PROVENANCE_SOURCE: ReasonInfo(
            "The provenance names another source repository or revision than the policy demands.",
            "Build from the repository that the policy names.",
        ),
        Reason.PROVENANCE_BUILDER: ReasonInfo(
            "The provenance names a builder that the policy does not allow.", "Build where the policy says."
        ),
        Reason.PROVENANCE_DIRTY: ReasonInfo(
            "The release was made from a tree with uncommitted changes.", "Commit, and release the commit."
        ),
        Reason.PROVENANCE_CLAIM_MISMATCH: ReasonInfo(
            "The predicate claims something else than the certificate's extensions prove.",
            "Do not trust the predicate; find the job that signed it.",
        ),
        Reason.SOURCE_UNREACHABLE: ReasonInfo(
            "The commit is on none of the branches that the policy names.",
            "It may be a fork's or an unmerged branch's; if it was merged since, make the Git bundle again.",
        ),
        Reason.VERSION_ROLLBACK: ReasonInfo(
            "The release is valid and older than the policy still allows.",
            "Deploy a newer release; lower the version in the policy only to go back on purpose.",
        ),
        Reason.STEP_MISSING: ReasonInfo(
            "A step that the policy requires has no link by an allowed identity.", "Release with every step."
        ),
        Reason.STEP_CHAIN: ReasonInfo(
            "What one step used is not what the step before it made.",
            "Something changed files between two steps: find out what, and release again.",
        ),
        Reason.STEP_THRESHOLD: ReasonInfo(
            "Too few different identities signed the same record of a step.",
            "Let another identity that the layout allows do or check the step; one identity counts once, however often "
            "it signs.",
        ),
        Reason.STEP_ARTIFACT_NAME: ReasonInfo(
            "A step's record names a file outside of its folder, or two files that are one on some systems.",
            "Rename the file; otherwise treat the record as forged.",
        ),
        Reason.STEP_ARTIFACT_RULE: ReasonInfo(
            "A rule of the layout forbids a file of a step, or misses one.",
            "Compare the step's record with the rule: a file was added, changed or lost between two steps.",
        ),
        Reason.STEP_ARTIFACT_UNCHECKED: ReasonInfo(
            "A step has files that no rule of the layout is about.",
            "Write a rule for them; `ALLOW *` at the end says that any file is meant.",
        ),
        Reason.SUMMARY_FAILED: ReasonInfo(
            "A verification summary says FAILED.", "Ask that verifier what it found; release a mended version."
        ),
        Reason.SUMMARY_VERIFIER: ReasonInfo(
            "The verification summary is of a verifier that the policy does not name.",
            "Let a verifier of the policy judge the artifact.",
        ),
        Reason.SUMMARY_RESOURCE: ReasonInfo(
            "The verification summary is about another resource: another artifact or environment.",
            "Have this artifact verified under its own name.",
        ),
        Reason.SUMMARY_POLICY: ReasonInfo(
            "The verification summary was made by another policy than the one that is asked for.",
            "Have the artifact verified by that policy, or update the digest where the policy changed on purpose.",
        ),
        Reason.SUMMARY_LEVEL: ReasonInfo(
            "The verification summary does not show a SLSA level that the policy asks for.",
            "Build where that level is reached; a lower level is a change of the policy.",
        ),
        Reason.SUMMARY_TIME: ReasonInfo(
            "The verification summary is too old, or of a time that has not come.",
            "Verify the artifact again; check the clock of the verifier.",
        ),
        Reason.LAYOUT_MISSING: ReasonInfo(
            "The policy wants a layout, and none is attached to the artifact.",
            "Attach the signed layout, or name its file in the policy.",
        ),
        Reason.LAYOUT_MALFORMED: ReasonInfo(
            "The signed layout is none that can be read without doubt.",
            "See `dhallmark layout show`; write, review and sign it again.",
        ),
        Reason.LAYOUT_EXPIRED: ReasonInfo(
            "The layout has expired.", "Review it, sign it with a later `expires` and a higher `version`."
        ),
        Reason.LAYOUT_ROLLBACK: ReasonInfo(
            "The layout is older than the policy allows, however valid its signature is.",
            "Use the current layout; find out who put the old one there.",
        ),
        Reason.LAYOUT_PRODUCT: ReasonInfo(
            "The steps of the layout fit together, and none of them made this artifact.",
            "The records are of another release: attach those of this one.",
        ),
        Reason.LAYOUT_INSPECTION: ReasonInfo(
            "The artifact is not of the kind that the layout's inspection looks at.",
            "Check that the right artifact was published, and what its layer holds.",
        ),
        Reason.LAYOUT_INSPECTION_UNKNOWN: ReasonInfo(
            "The layout asks for an inspection that this version does not have. It runs no command of a layout.",
            "Use a built-in inspection, or run the check before signing a test result.",
            indeterminate=True,
        ),
        Reason.TEST_RESULT_FAILED: ReasonInfo(
            "A test result on the artifact says FAILED.", "Read the result; release a mended version."
        ),
        Reason.TEST_RESULT_INSUFFICIENT: ReasonInfo(
            "A test result says less than the policy demands, or lacks a test that must have passed.",
            "Read the result; run the missing test, and sign what it says.",
        ),
        Reason.FRESHNESS_TOO_OLD: ReasonInfo(
            "The statement was signed longer ago than the policy allows.",
            "Release again, or sign what is deployed anew.",
        ),
        Reason.FRESHNESS_FUTURE: ReasonInfo(
            "The statement was signed at a time that has not come yet.",
            "Check the clock of this machine; if it is right, a timestamp authority or log is wrong.",
        ),
        Reason.POLICY_INVALID: ReasonInfo(
            "The policy cannot be read, or says too little to be judged by: nothing is accepted.",
            "`dhallmark policy check` names the line and what is missing.",
            indeterminate=True,
        ),
        Reason.POLICY_EXPIRED: ReasonInfo(
            "The policy has ended.", "Get the current policy from its owner; do not extend an old one unread."
        ),
        Reason.POLICY_ROLLBACK: ReasonInfo(
            "The policy is older than the one that was demanded.",
            "Someone put an old policy back: get the current one from its owner.",
        ),
        Reason.TRUST_ROOT_UNKNOWN: ReasonInfo(
            "The trust root is none that the policy accepts.",
            "Get the one that the policy names; if the instance has a new one, add its digest to the policy.",
        ),
        Reason.TRUST_ROOT_STALE: ReasonInfo(
            "Nobody confirmed for too long that the trust root is the current one.",
            "Fetch it anew from the instance, compare, and set `confirmed` (and the digest) in the policy.",
        ),
        Reason.NOTHING_CHECKED: ReasonInfo(
            "Nothing was checked, which is never success.", "Name at least one artifact.", indeterminate=True
        ),
        Reason.CHECK_LOST: ReasonInfo(
            "The process that was to give this verdict ended before it did.",
            "Run it again; if it stays so, verify the artifact alone and report what it does to the verifier.",
            indeterminate=True,
        ),
        Reason.FILE_UNREADABLE: ReasonInfo(
            "A file or folder that the verdict needs is missing, too large, or not what it must be.",
            "Check the path, its permissions and what stands there, and run it again.",
            indeterminate=True,
        ),
        Reason.REGISTRY_UNAVAILABLE: ReasonInfo(
            "The registry did not answer, or answered with an error.",
            "Check the network, the credentials and the registry, and run it again.",
            indeterminate=True,
        ),
        Reason.REGISTRY_LISTING_INCOMPLETE: ReasonInfo(
            "The list of referrers is cut off, malformed, or from a server that cannot give it.",
            "Check what stands between you and the registry, and run it again.",
            indeterminate=True,
        ),
        Reason.REGISTRY_TAG_MOVED: ReasonInfo(
            "The tag no longer names the digest that was checked.",
            "Someone moved the tag: use the digest, and find out who.",
        ),
        Reason.CONSUMER_UNREADABLE: ReasonInfo(
            "The consumer's answer is none that this version knows how to read.",
            "Look at its own words in the report; check the consumer's version.",
            indeterminate=True,
        ),
        Reason.CONSUMER_UNAVAILABLE: ReasonInfo(
            "The consumer could not be run, or ended without an answer.",
            "Install it; look at its own words in the report.",
            indeterminate=True,
        ),
        Reason.CONSUMER_LIMIT: ReasonInfo(
            "The consumer took more time, memory, processes or disk than a control may have, and was killed.",
            "Find out what it does with that input; give it more time if it is only slow.",
            indeterminate=True,
        ),
        Reason.IMPORT_HASH_MISMATCH: ReasonInfo(
            "An import is not what it was when it was frozen.",
            "Look at what changed; `dhall freeze` it again only if that is meant.",
        ),
        Reason.IMPORT_UNFROZEN: ReasonInfo(
            "A remote import is not frozen: it may be another one tomorrow.", "Freeze it with `dhall freeze`."
        ),
        Reason.IMPORT_FORBIDDEN: ReasonInfo(
            "An import is from the environment, from outside of the project, or from nowhere.",
            "Pass values by a file of the project.",
        ),
        Reason.IMPORT_CYCLE: ReasonInfo(
            "Imports lead back to where they began.", "Move what both files need into a third."
        ),
        Reason.RENDER_INVALID: ReasonInfo(
            "The sources cannot be rendered: a type error, a missing file, or no Kubernetes object.",
            "Run `dhallmark resolve` and `dhallmark render`, which name file and line.",
        ),
        Reason.RENDER_TOO_LARGE: ReasonInfo(
            "The expression takes more memory or time than is allowed when it is normalised.",
            "Find what grows without bound; a release needs little of either.",
        ),
        Reason.MATERIAL_MISMATCH: ReasonInfo(
            "A material of the rebuild is not the one that the record, or the commit, has.",
            "Compare the file with the commit's; a record that contradicts itself is no record.",
        ),
        Reason.REBUILD_OBJECT: ReasonInfo(
            "A rebuild from the recorded materials yields other Kubernetes objects than those that were published.",
            "Do not deploy: the report names object and field; ask who built it, and with what.",
        ),
        Reason.REBUILD_FILE: ReasonInfo(
            "A rebuild yields the same Kubernetes objects, and other bytes in a way that nothing accounts for.",
            "Read the difference in the report; a comment or a template may mean more than it shows.",
        ),
        Reason.REBUILD_NOT_EQUAL: ReasonInfo(
            "The content is the same and the digest is not, and equal digests were demanded.",
            "Read which ways of packing differ; build with the recorded tools, or demand `equivalent`.",
        ),
        Reason.REBUILD_NETWORK: ReasonInfo(
            "Something in the rebuild tried to reach the network.",
            "Find the import or the tool that does; what it fetches is recorded nowhere.",
        ),
        Reason.CONTROL_FAILED: ReasonInfo(
            "A consumer did not refuse a mutant, or not for its own reason, or refused the good artifact.",
            "Do not deploy: mend the consumer's policy first, and read what it said in the report.",
        ),
        Reason.MANIFEST_REFUSED: ReasonInfo(
            "The API server does not take the manifest.",
            "Read what it says of which field; give the definition of a kind that it does not know with --definitions.",
        ),
        Reason.MANIFEST_UNKNOWN_FIELD: ReasonInfo(
            "The manifest has a key that this version of the consumer does not know, and would drop silently.",
            "Move the key to where the consumer reads it, or update the consumer before the manifest.",
        ),
        Reason.MANIFEST_CHANGED: ReasonInfo(
            "What the API server stored is not what the manifest says: a field is gone or has another value.",
            "Look at the field in the report; a schema prunes it, or something changes objects on their way in.",
        ),
        Reason.MANIFEST_UNVERIFIED: ReasonInfo(
            "A source is stored without `spec.verify`: whatever is pushed to its repository is deployed.",
            "Add `spec.verify` to the source, and look at what a patch or an operator takes away.",
        ),
        Reason.MANIFEST_TRUST_ROOT: ReasonInfo(
            "The Secret with the trust root holds another one than the proof was asked for with.",
            "Compare both files with the instance's own; mend the Secret, or name the right file.",
        ),
        Reason.CONTROLLER_VERDICT: ReasonInfo(
            "The controller's conditions are not those that the artifact must give it.",
            "Do not deploy: read its own message in the report, and mend the source's `verify` first.",
        ),
        Reason.CONTROLLER_SERVED: ReasonInfo(
            "After a bad push the controller no longer serves the good revision.",
            "Do not deploy: look at the version of the controller and at its storage.",
        ),
        Reason.PROMOTION_PROOF: ReasonInfo(
            "The proof of the earlier environment does not cover this promotion.",
            "Prove the earlier environment with this release, these sources and this policy, and promote then.",
        ),
        Reason.LIVE_MISSING: ReasonInfo(
            "An object of Git's is not in the cluster.",
            "Look at what applies it, and why it does not.",
        ),
        Reason.LIVE_DIFFERS: ReasonInfo(
            "A source in the cluster is not what Git says: its verification, or where it looks.",
            "Find out who owns the object: an operator may write it again, a person may have changed it.",
        ),
        Reason.LIVE_NOT_IN_FORCE: ReasonInfo(
            "Verification is configured, and the controller does not say that it has been done.",
            "Look at the source's conditions: suspended, never reconciled since the change, or not verified at all.",
        ),
        Reason.LIVE_REFUSED: ReasonInfo(
            "The controller refuses what the source names now, and serves an older revision, if any.",
            "Read its message in the report. Is the artifact good, mend the identity; if not, find out who pushed it.",
        ),
        Reason.LIVE_ARTIFACT: ReasonInfo(
            "The cluster serves another revision than Git names.",
            "Compare both digests with the release; look at why the source has not been reconciled.",
        ),
        Reason.LIVE_SECOND_SOURCE: ReasonInfo(
            "Another source of the cluster reads the same repository without the same verification.",
            "Remove it, or give it the same `verify`.",
        ),
        Reason.LIVE_CONTROLLER: ReasonInfo(
            "The source-controller that runs is too old for what the source says, or is not running.",
            "Update Flux, then look again.",
        ),
        Reason.CLUSTER_UNAVAILABLE: ReasonInfo(
            "The API server did not answer, or may not be asked.",
            "Check the kubeconfig, the network and the permissions, and run it again.",
            indeterminate=True,
        ),
        Reason.CONTROL_UNANSWERED: ReasonInfo(
            "A control has no answer that can be counted.",
            "Run it again; if it stays so, look at the consumer's own words in the report.",
            indeterminate=True,
        ),
        Reason.ISOLATION_UNAVAILABLE: ReasonInfo(
            "The engine or the kernel refused the isolation that a control needs.",
            "Run it where user or network namespaces are allowed.",
            indeterminate=True,
        ),
        Reason.FORMAT_UNSUPPORTED: ReasonInfo(
            "The bundle or its log entry has a version that this verifier does not read.",
            "Update dhallmark, or sign in a format that it reads.",
            indeterminate=True,
        ),
        Reason.TRUST_ROOT_MISSING: ReasonInfo(
            "The bundle, or what is demanded of it, takes a trust root, and none was given.",
            "Give the trusted_root.json of the instance that signed.",
            indeterminate=True,
        ),
        Reason.SOURCE_UNAVAILABLE: ReasonInfo(
            "Where the commit stands could not be looked up: the Git bundle or Git is missing, or cannot be read.",
            "Put the Git bundle beside the policy (`git bundle create FILE BRANCH`), and install git.",
            indeterminate=True,
        ),
        Reason.MATERIAL_MISSING: ReasonInfo(
            "Something that a rebuild needs is not recorded, or cannot be found; the verdict names it.",
            "Give it with `--materials` or `--seed`, or name the commit with `--source`; nothing is guessed.",
            indeterminate=True,
        ),
        Reason.TOOL_VERSION: ReasonInfo(
            "The rebuild differs, and was made by other versions of the tools than the record names.",
            "Rebuild with the recorded versions: in the recorded image, by `dagger call audit`.",
            indeterminate=True,
        ),
        Reason.TOOL_UNAVAILABLE: ReasonInfo(
            "A program that the rebuild needs is missing, or could not do its work.",
            "Install it, or rebuild in the recorded image; `dhallmark doctor` names what is missing.",
            indeterminate=True,
        ),
        Reason.IMAGE_UNAVAILABLE: ReasonInfo(
            "The recorded image, which the rebuild was to be made in, cannot be had.",
            "Give it as a file with `--image`, or rebuild with the recorded versions of the tools without it.",
            indeterminate=True,
        ),
        Reason.IMAGE_MISMATCH: ReasonInfo(
            "None of the images that were given as files is the recorded one: by its digest, and all that it covers.",
            "Compare the digests that the verdict shows; ask the builder for that image, or whoever kept a copy.",
            indeterminate=True,
        ),
    }
)
