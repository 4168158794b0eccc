"""Read a Dockerfile, and do its steps in folders: there is no container engine in the tests."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

_LAYER_NS = 10**9  # layers keep times in whole seconds


@dataclass(frozen=True)
class Step:
    """One instruction."""

    instruction: str
    text: str


@dataclass
class Stage:
    """What follows a ``FROM``."""

    base: str
    name: str
    steps: list[Step] = field(default_factory=list)


def stages(text: str) -> list[Stage]:
    """Return the stages of a Dockerfile, with the ``ARG``\\ s before the first one filled in."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found: list[Stage] = []
    arguments: dict[str, str] = {}
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        instruction, rest = line.split(maxsplit=1)
        if instruction == "FROM":
            base, *name = re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], rest).split(" AS ")
            found.append(Stage(base, name[0] if name else ""))
        elif not found:
            assert instruction == "ARG", line
            name, _, value = rest.partition("=")
            arguments[name] = value
        else:
            found[-1].steps.append(Step(instruction, rest))
    return found


def copies(text: str) -> list[str]:
    """Return what a Dockerfile copies from its build context."""
    steps = [step for stage in stages(text) for step in stage.steps if step.instruction == "COPY"]
    return [
        source for step in steps if "--from=" not in step.text for source in step.text.split()[:-1]
    ]


@dataclass(frozen=True)
class Image:
    """A folder that is the root of a container.

    Attributes
    ----------
    root : Path
        The folder.
    env : dict
        Its variables.
    user : str
        User and group, as numbers.
    entrypoint : list of str
        What its command follows.
    """

    root: Path
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = "0:0"
    entrypoint: tuple[str, ...] = ()

    def run(
        self,
        *command: str,
        user: str | None = None,
        read_only: bool = False,
        mounts: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, with mounts that end with it.

        Parameters
        ----------
        *command
            The command, without `entrypoint`.
        user
            Another user than the image's.
        read_only
            Mount the root read-only, with an empty ``/tmp``.
        mounts
            Folders of this machine, by the names that they have in the container.
        env
            More variables.
        """
        root = shlex.quote(str(self.root))
        lines = [f"mount --rbind {root} {root}", f"cd {root}"]
        for name, folder in (mounts or {}).items():
            Path(f"{self.root}{name}").mkdir(parents=True, exist_ok=True)
            lines.append(f"mount --bind {shlex.quote(str(folder))} {root}{name}")
        if read_only:
            lines += [
                f"mount -o remount,bind,ro {root}",
                f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp",
            ]
        lines += [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", **self.env, **(env or {})}
        chroot = ["chroot", f"--userspec={user or self.user}", "--groups=", str(self.root)]
        settings = [f"{name}={value}" for name, value in variables.items()]
        lines.append("exec " + shlex.join([*chroot, "/usr/bin/env", "-i", *settings, *command]))
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "bash", "-ec", "\n".join(lines)],
            capture_output=True,
            text=True,
        )

    def expect(self, *command: str, **how: object) -> str:
        """Run a command with `run`, and return what it prints; fail if it fails."""
        done = self.run(*command, **how)  # type: ignore[arg-type]
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def build(
    text: str,
    context: Path,
    base: Path,
    folder: Path,
    *,
    mounts: Mapping[str, Path],
    env: Mapping[str, str],
) -> Image:
    """Do the steps of a Dockerfile one after the other.

    Parameters
    ----------
    text : str
        The Dockerfile.
    context : Path
        The build context.
    base : Path
        A root folder that stands for every base image.
    folder : Path
        Where the stages are made.
    mounts, env
        For ``RUN``, not kept in the image.

    Returns
    -------
    Image
        The last stage.
    """
    images: dict[str, Image] = {}
    for i, stage in enumerate(stages(text)):
        image = Image(folder / f"stage{i}")
        subprocess.run(["cp", "-a", base, image.root], check=True)
        for step in stage.steps:
            image = _do(step, image, images, context, mounts=mounts, env=env)
        images[stage.name] = image
    return image


def _do(
    step: Step,
    image: Image,
    images: Mapping[str, Image],
    context: Path,
    *,
    mounts: Mapping[str, Path],
    env: Mapping[str, str],
) -> Image:
    if step.instruction == "RUN":
        image.expect("/bin/sh", "-c", step.text, mounts=mounts, env=env)
        _as_layer(image.root / "opt")
    elif step.instruction == "COPY":
        _copy(step.text.split(), image, images, context)
    elif step.instruction == "ENV":
        path = {"PATH": "/usr/local/bin:/usr/bin:/bin", **image.env}
        pairs = [pair.partition("=") for pair in shlex.split(step.text)]
        values = {name: value.replace("$PATH", path["PATH"]) for name, _, value in pairs}
        return replace(image, env={**image.env, **values})
    elif step.instruction == "USER":
        return replace(image, user=step.text)
    elif step.instruction == "ENTRYPOINT":
        return replace(image, entrypoint=tuple(json.loads(step.text)))
    else:
        assert step.instruction == "LABEL", step
    return image


def _copy(words: list[str], image: Image, images: Mapping[str, Image], context: Path) -> None:
    options = dict(word[2:].split("=") for word in words if word.startswith("--"))
    *sources, target = [word for word in words if not word.startswith("--")]
    into = Path(f"{image.root}{target}")
    top = images[options["from"]].root if "from" in options else context
    for source in sources:
        found = Path(f"{top}/{source}")
        to = into / found.name if target.endswith("/") else into
        to.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            ignored = None if "from" in options else shutil.ignore_patterns("__pycache__")
            shutil.copytree(found, to, symlinks=True, ignore=ignored)
        else:
            shutil.copy2(found, to)
        if "chown" in options:
            subprocess.run(["chown", "-R", options["chown"], to], check=True)
    _as_layer(into)


def _as_layer(folder: Path) -> None:
    """Cut the times of files to whole seconds, as a layer does that is sent to a registry."""
    for path in _all_below(folder):
        stat = os.lstat(path)
        times = (stat.st_atime_ns, stat.st_mtime_ns // _LAYER_NS * _LAYER_NS)
        os.utime(path, ns=times, follow_symlinks=False)


def _all_below(folder: Path) -> Iterable[str]:
    for parent, folders, files in os.walk(folder):
        yield from (os.path.join(parent, name) for name in folders + files)
