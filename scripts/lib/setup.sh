# shellcheck shell=bash
# The set-up that scripts/setup, check, test, demo and bench share. Sourced, never run:
#
#     source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib/setup.sh"
#     set_up python kvm guest lab vcsim
#
# With -h or --help the script that sources this explains itself, by the comment it begins with, and
# does nothing else.
#
# Afterwards the directory is the root of the checkout, $VENV is its virtual environment and
# comes first on the path. Repeating it costs some milliseconds: stamps say what was installed.
# Two at once are safe: the second waits for the first.

ROOT=$(dirname "$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")")
VENV=$ROOT/.venv
COMMAND=${0#"$ROOT/"}

say() { printf '==> %s\n' "$*" >&2; }
fail() {
    printf '%s: %s\n' "$COMMAND" "$1" >&2
    shift
    (($# == 0)) || printf '%s\n' "$@" >&2
    exit 1
}

case ${1-} in
-h | --help)
    awk 'NR > 1 { if (!sub(/^# ?/, "")) exit; print }' "$0"
    exit
    ;;
esac

# set_up GROUP...: the groups of scripts/debian-packages.txt that the caller needs. Without the
# group kvm the virtual environment may lack libvirt-python. With the group vcsim the simulator of
# the vSphere tests is built, which takes longer than a test may.
set_up() {
    cd "$ROOT" || return
    # What the caller's shell says about Python is about another environment than ours.
    unset PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
    export PATH=$VENV/bin:$PATH:/usr/sbin:/sbin
    _install_debian_packages "$@"
    local variant=all
    [[ " $* " == *" kvm "* ]] || variant=without-kvm
    _is_current "$variant" || _install_python_packages "$variant"
    [[ " $* " != *" vcsim "* ]] || _build_vcsim
}

# --- Debian packages -----------------------------------------------------------------------

_install_debian_packages() {
    if ! command -v dpkg-query >/dev/null; then
        say "no dpkg here: the equivalents of scripts/debian-packages.txt are taken for granted"
        return
    fi
    local missing
    mapfile -t missing < <(_missing_debian_packages "$@")
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        fail "some Debian packages are missing. Run this first, then again $COMMAND:" \
            "" \
            "    sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" \
            ""
    fi
    say "installing Debian packages: ${missing[*]}"
    say "services among them are neither started nor enabled"
    # One lock for the machine: dpkg's own does not cover the package lists.
    (
        flock 9
        _without_services _apt_install "${missing[@]}"
    ) 9>/run/lock/provisioner-setup.lock
    mapfile -t missing < <(_missing_debian_packages "$@")
    ((${#missing[@]} == 0)) || fail "apt-get did not install: ${missing[*]}"
}

_missing_debian_packages() {
    local wanted
    mapfile -t wanted < <(awk -v groups=" $* " \
        '!/^#/ && NF && index(groups, " " $1 " ") {print $2}' scripts/debian-packages.txt)
    # dpkg-query names what it does not know on stderr only, so what it knows is taken away.
    comm -23 <(printf '%s\n' "${wanted[@]}" | sort -u) \
        <(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
            sed -n 's/^installed //p' | sort -u)
}

_apt_install() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0
        -o DPkg::Lock::Timeout=600)
    local install=("${apt[@]}" install -y --no-install-recommends "$@")
    # Refreshing the package lists is slow: only if they lack a package, or name versions that
    # the mirror no longer has. A failing update may concern a source that we do not need.
    "${install[@]}" --simulate >/dev/null 2>&1 || "${apt[@]}" update >&2 || true
    "${install[@]}" >&2 && return
    say "trying again with fresh package lists"
    "${apt[@]}" update >&2 || true
    "${install[@]}" >&2
}

# Debian starts the services of a package that it installs, and enables them for the next boot; ours
# are libraries and programs that tests run for themselves. policy-rc.d (invoke-rc.d(8)) keeps them
# from being started and a preset (systemd.preset(5)) from being enabled; the links of System V
# init, which asks neither, are turned off afterwards. Runs in a subshell, whose end takes both away.
_without_services() {
    local policy=/usr/sbin/policy-rc.d preset=/etc/systemd/system-preset/00-provisioner-setup.preset
    local before
    before=$(_boot_scripts)
    local ours=("$preset")
    [[ -e $policy ]] || ours+=("$policy")
    # The names are those of now.
    # shellcheck disable=SC2064
    trap "rm -f ${ours[*]}; rmdir --ignore-fail-on-non-empty $(dirname "$preset")" EXIT
    mkdir -p "$(dirname "$preset")"
    echo 'disable *' >"$preset"
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    "$@"
    comm -13 <(echo "$before") <(_boot_scripts) | while read -r name; do
        [[ -z $name ]] || update-rc.d "$name" disable >&2
    done
}

# Services that System V init starts at boot.
_boot_scripts() {
    find /etc/rc[2-5].d -name 'S??*' -printf '%f\n' 2>/dev/null | sed 's/^S..//' | sort -u
}

# --- Python packages -----------------------------------------------------------------------

_digest() { cat "$@" | sha256sum | cut -d' ' -f1; }
_lock_digest() { _digest constraints.txt scripts/lib/setup.sh; }
_project_digest() { (echo "$ROOT" && cat pyproject.toml setup.py provisioner/__init__.py) | _digest; }

# Whether the virtual environment is what $1 (all or without-kvm) asks for.
_is_current() {
    local lock stamped_variant stamped_lock
    lock=$(_lock_digest)
    [[ -x $VENV/bin/python && -f $VENV/.stamp-lock && -f $VENV/.stamp-project ]] || return 1
    read -r stamped_variant stamped_lock <"$VENV/.stamp-lock" || return 1
    [[ $stamped_lock == "$lock" ]] || return 1
    [[ $stamped_variant == all || $stamped_variant == "$1" ]] || return 1
    [[ $(<"$VENV/.stamp-project") == "$(_project_digest)" ]] || return 1
    # A virtual environment outlives the interpreter that it was made from.
    "$VENV/bin/python" -c '' 2>/dev/null
}

_install_python_packages() {
    if [[ -e $VENV && ! -w $VENV ]]; then
        fail "$VENV is out of date and belongs to $(stat -c %U "$VENV"), who has to run $COMMAND"
    fi
    (
        flock 9
        # Whoever held the lock before may have done the work.
        _is_current "$1" || _fill_virtual_environment "$1"
    ) 9>"$ROOT/.venv.lock"
}

_fill_virtual_environment() {
    local python lock variant=$1 started=$SECONDS
    lock=$(_lock_digest)
    if ! "$VENV/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
    then
        python=$(_find_python)
        say "making .venv with $python"
        rm -rf "$VENV"
        "$python" -m venv "$VENV"
    fi
    # Nothing is downloaded but what constraints.txt names, so the builds are not isolated:
    # the locked setuptools comes first and builds the rest.
    local pip=("$VENV/bin/python" -m pip --disable-pip-version-check --no-input)
    local install=("${pip[@]}" install --quiet --require-hashes --no-deps --no-build-isolation)
    local stamped_variant='' stamped_lock=''
    [[ ! -f $VENV/.stamp-lock ]] || read -r stamped_variant stamped_lock <"$VENV/.stamp-lock" || true
    if [[ $stamped_lock != "$lock" || $stamped_variant != all && $stamped_variant != "$variant" ]]
    then
        say "installing the Python packages of constraints.txt"
        rm -f "$VENV/.stamp-lock"
        "${install[@]}" -r <(_locked only pip setuptools)
        if [[ $variant == all ]]; then
            "${install[@]}" -r <(_locked except)
        else
            "${install[@]}" -r <(_locked except libvirt-python)
        fi
        echo "$variant $lock" >"$VENV/.stamp-lock"
    fi
    say "installing the project into .venv"
    # The names under which plugins/ and schemas/ are installed, for mypy: it does not see
    # through the import hook of an editable install.
    mkdir -p .import-names
    ln -sfn ../plugins .import-names/provisioner_plugins
    ln -sfn ../schemas .import-names/provisioner_schemas
    rm -f "$VENV/.stamp-project"
    # What was installed from here before may have had another name.
    _installed_from_here | xargs --no-run-if-empty "${pip[@]}" uninstall --quiet --yes
    # The warning is about folders that shadow packages; here they are the packages.
    PYTHONWARNINGS=ignore "${pip[@]}" install --quiet --no-deps --no-build-isolation --editable .
    _project_digest >"$VENV/.stamp-project"
    say "set-up took $((SECONDS - started)) s"
}

_build_vcsim() {
    (
        flock 9
        python -m tests.lab.golang
    ) 9>"$ROOT/.venv.lock" || fail "the vSphere simulator was not built"
}

# Names of the distributions in the virtual environment that come from this checkout (PEP 610).
_installed_from_here() {
    "$VENV/bin/python" -c '
import json, pathlib, sys
from importlib.metadata import distributions
here = pathlib.Path(sys.argv[1]).as_uri()
for found in distributions():
    if json.loads(found.read_text("direct_url.json") or "{}").get("url") == here:
        print(found.name)' "$ROOT"
}

# The entries of constraints.txt with (only) or but for (except) the given packages.
_locked() {
    local mode=$1
    shift
    awk -v mode="$mode" -v names=" $* " '
        /^[^ #]/ {
            split($1, parts, "==")
            named = index(names, " " parts[1] " ") > 0
            keep = mode == "only" ? named : !named
        }
        keep' constraints.txt
}

# An interpreter of 3.11 or later that can make virtual environments. Debian's comes first: it
# is there on every machine that we support, whatever else is on the path. A shim of a version
# switcher is resolved to the interpreter behind it, which stays the same in other directories.
_find_python() {
    local candidate found
    for candidate in ${PYTHON:+"$PYTHON"} /usr/bin/python3 python3 python3.13 python3.12 python3.11
    do
        found=$("$candidate" -c '
import ensurepip, sys, venv
if sys.version_info < (3, 11):
    sys.exit(1)
print(sys._base_executable)' 2>/dev/null) || continue
        echo "$found"
        return
    done
    fail "no Python 3.11 or later with venv and ensurepip was found; set PYTHON to one"
}
