"""The media node of the commit before this one, which tests of a mesh of two releases need."""

from .output import Output
from .processes import Processes


def build_previous(processes: Processes, cluster: str, output: Output) -> None:
    """Builds it, once for a commit, and loads it onto a test cluster."""
    code = processes.run(["scripts/previous.sh"], output, {"SFUMATO_CLUSTER": cluster})
    if code != 0:
        raise RuntimeError(f"scripts/previous.sh ended with {code}")
