"""Speaks /v1/fine_tuning/jobs: a job that succeeds the first time it is asked for. It must never train anything."""

from proxy.simulate import tokens
from proxy.simulate.endpoints import sampling
from proxy.simulate.endpoints.files import found_file, json_body, lines_of, listed
from proxy.simulate.exchange import Ask, Draft, JsonObject, Refused, as_list, as_object
from proxy.simulate.shelf import Kept

_EPOCHS = 3
_MOST_EPOCHS = 50


def jobs(ask: Ask) -> Draft:
    """A job is made, or those that are there are listed."""
    if ask.asked.method == "GET":
        return listed(ask, "fine_tuning.job")
    body = json_body(ask)
    model = sampling.model_of(body)
    found_file(ask, body.get("training_file"))
    epochs = _epochs(body)
    document: JsonObject = {
        "id": f"ftjob-{ask.call_id}",
        "object": "fine_tuning.job",
        "model": model,
        "created_at": ask.created_s,
        "finished_at": None,
        "fine_tuned_model": None,
        "organization_id": "simulated",
        "result_files": [],
        "status": "validating_files",
        "training_file": body["training_file"],
        "validation_file": body.get("validation_file"),
        "hyperparameters": {"n_epochs": epochs, "batch_size": 1, "learning_rate_multiplier": 1.0},
        "trained_tokens": None,
        "error": None,
        "seed": body.get("seed") or 0,
        "metadata": body.get("metadata"),
    }
    ask.shelf.keep(document["id"], Kept(document=document, late=True))
    return Draft(document=document)


def job(ask: Ask) -> Draft:
    """One job; what it waited for is done now."""
    found = _found(ask, ask.asked.path.rpartition("/")[2])
    if found.late:
        found.late = False
        found.document = _succeeded(ask, found.document)
    return Draft(document=found.document)


def cancel_job(ask: Ask) -> Draft:
    """Ends a job of which nothing was done."""
    found = _found(ask, ask.asked.path.split("/")[-2])
    if not found.late:
        raise Refused(400, "Simulated: a job that has ended cannot be cancelled.", code="job_ended")
    found.late = False
    found.document = {**found.document, "status": "cancelled"}
    return Draft(document=found.document)


def job_events(ask: Ask) -> Draft:
    """What happened to a job: nothing is told."""
    _found(ask, ask.asked.path.split("/")[-2])
    return Draft(document={"object": "list", "data": [], "has_more": False})


def _found(ask: Ask, name: str) -> Kept:
    found = ask.shelf.find(name)
    if found is None or found.document.get("object") != "fine_tuning.job":
        raise Refused(404, f"Simulated: there is no job '{name[:80]}' here.", code="fine_tune_not_found")
    return found


def _epochs(body: JsonObject) -> int:
    wanted = as_object(body.get("hyperparameters")).get("n_epochs")
    return wanted if isinstance(wanted, int) and not isinstance(wanted, bool) and 0 < wanted <= _MOST_EPOCHS else _EPOCHS


def _succeeded(ask: Ask, document: JsonObject) -> JsonObject:
    """The job at its end: every token of the file was seen once an epoch."""
    lines = lines_of(found_file(ask, document["training_file"]).content)
    messages = [as_list(line.get("messages")) for line in lines]
    read = sum(tokens.count_messages([turn for turn in turns if isinstance(turn, dict)], "") for turns in messages)
    return {
        **document,
        "status": "succeeded",
        "finished_at": ask.created_s,
        "fine_tuned_model": f"ft:{document['model']}:simulated::{document['id'][-8:]}",
        "trained_tokens": read * document["hyperparameters"]["n_epochs"],
    }
