"""Rules of an alias and its deployments: what each setting allows alone but not together. It must never change a setting."""

from collections.abc import Callable, Collection, Iterator

from config.deployment import Alias, Deployment
from config.explain import closest
from config.listen import url_fault
from config.problem import Finding, KeyPath
from config.providers import KNOWN_NAMES, LITELLM_NAMES, OWN_ADDRESS, SIMULATED, Dialect, provider_id, public_base, spoken_by

AZURE = "azure"


def alias_faults(name: str, alias: Alias) -> Iterator[Finding]:
    """What cannot work in the alias `name`, beside its name."""
    path: KeyPath = ("models", name)
    for index, deployment in enumerate(alias.deployments):
        for rule in _RULES:
            yield from rule((*path, "deployments", index), deployment)
    first = min(deployment.order for deployment in alias.deployments)
    if not any(deployment.weight for deployment in alias.deployments if deployment.order == first):
        message = f"all of order {first} have weight 0, which only fall back: give one a weight above 0, or a higher order to the others"
        yield Finding(path=(*path, "deployments"), message=message)
    if alias.retry.on == []:
        yield Finding(path=(*path, "retry", "on"), message="is empty; write `attempts: 1` to try nothing again, or leave it out")


def _key(path: KeyPath, deployment: Deployment) -> Iterator[Finding]:
    if deployment.api_key == "":
        yield Finding(path=(*path, "api_key"), message="is empty; leave it out to forward the caller's own key")


def _address(path: KeyPath, deployment: Deployment) -> Iterator[Finding]:
    if deployment.api_base is not None:
        if fault := url_fault(deployment.api_base):
            yield Finding(path=(*path, "api_base"), message=fault)
        return
    if deployment.provider == SIMULATED:
        return
    spoken = deployment.dialects or spoken_by(deployment.provider)
    if deployment.door == "wire" and not spoken:
        message = f"`wire` needs to know what `{deployment.provider}` speaks: add `dialects:` and `api_base:`, or leave `door` out"
        yield Finding(path=(*path, "door"), message=message)
    elif not _has_address(deployment.provider, () if deployment.door == "litellm" else spoken):
        hint = "" if deployment.provider in KNOWN_NAMES else closest(deployment.provider, KNOWN_NAMES)
        message = f"`{deployment.provider}` has no public address here: add api_base{hint}"
        yield Finding(path=(*path, "provider"), message=message)


def _has_address(provider: str, spoken: Collection[Dialect]) -> bool:
    """True when the provider is reached without an api_base: at a public address, or through LiteLLM, which knows its own."""
    if any(public_base(provider, dialect) for dialect in spoken):
        return True
    known = provider_id(provider)
    return not spoken and known in LITELLM_NAMES and known not in OWN_ADDRESS


def _azure(path: KeyPath, deployment: Deployment) -> Iterator[Finding]:
    if deployment.api_version is not None and provider_id(deployment.provider) != AZURE:
        yield Finding(path=(*path, "api_version"), message=f"is for provider `{AZURE}` only; leave it out")


def _simulated(path: KeyPath, deployment: Deployment) -> Iterator[Finding]:
    if deployment.provider != SIMULATED:
        return
    for name in ("door", "dialects"):
        if getattr(deployment, name) is not None:
            yield Finding(path=(*path, name), message="means nothing for the simulated provider, inside this process; leave it out")


def _translated(path: KeyPath, deployment: Deployment) -> Iterator[Finding]:
    if deployment.params and (deployment.door == "wire" or deployment.provider == SIMULATED):
        yield Finding(path=(*path, "params"), message="are for LiteLLM, which does not carry this deployment's calls; leave them out")


_RULES: tuple[Callable[[KeyPath, Deployment], Iterator[Finding]], ...] = (_key, _address, _azure, _simulated, _translated)
