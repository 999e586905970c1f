#!/bin/sh
# Install docker-pushsafe from this source tree as a plugin of docker, upgrade it, remove it again, or only try it.
#
# One folder holds everything:
#   venv.XXXXXX  a virtual environment; an upgrade builds a new one, and only when that works does it replace the old
#   current      a link to the one in use, replaced in one step; the link in docker's plugin folder leads through it
#   made         what else was made (`link PATH`, `dir PATH`), so that --uninstall removes that and nothing else
#
# Exit status: 0 done, 1 not done and nothing changed, 2 wrong usage; of --try, once it is built, that of the tour.
set -eu
umask 022

usage() {
    cat <<'TEXT'
Usage: ./install.sh [--python PROGRAM] [--system | --try | --uninstall]

Install docker-pushsafe from this source tree; run it again to upgrade.

  --try        only show it, on pushes to a registry made for that: installs nothing, needs no docker, leaves nothing
  --python     the Python (3.11 or newer) to use, if not the first on PATH
  --system     for every user: /usr/local/lib/docker (needs root)
  --uninstall  remove what install.sh made, and nothing else
  --help       print this

Without --system: the program in ${XDG_DATA_HOME:-~/.local/share}/docker-pushsafe,
linked from ${DOCKER_CONFIG:-~/.docker}/cli-plugins/docker-pushsafe.
TEXT
}

fail() {
    echo "install.sh: $1" >&2
    exit "${2:-1}"
}

# --------------------------------------------------------------------------- what to run to get a thing

root=
[ "$(id -u)" = 0 ] || root='sudo '

mend() { # mend python|venv|docker
    if command -v apt-get; then
        case $1 in python) what='python3 python3-venv' ;; venv) what=python3-venv ;; docker) what=docker.io ;; esac
        how="${root}apt-get install $what"
    elif command -v dnf; then
        case $1 in docker) what=docker-cli ;; *) what=python3.12 ;; esac
        how="${root}dnf install $what"
    elif command -v apk; then
        case $1 in docker) what=docker-cli ;; *) what=python3 ;; esac
        how="${root}apk add $what"
    elif command -v brew; then
        case $1 in docker) what=docker ;; *) what=python ;; esac
        how="brew install $what"
    else
        case $1 in docker) how='see https://docs.docker.com/engine/install/' ;; *) how='see https://www.python.org/downloads/' ;; esac
    fi >/dev/null
    echo "$how"
}

find_python() {
    for candidate in ${wanted:+"$wanted"} python3 python3.14 python3.13 python3.12 python3.11; do
        # By the name with the version in it: a venv of a plain `python3` breaks when the system moves to the next version.
        if python=$("$candidate" -I -c 'import os, sys
sys.version_info >= (3, 11) or sys.exit(1)
base = sys._base_executable
named = os.path.join(os.path.dirname(base), "python%d.%d" % sys.version_info[:2])
print(named if os.access(named, os.X_OK) else base)' 2>/dev/null); then
            return
        fi
        [ -z "$wanted" ] || fail "$wanted is no Python >= 3.11: leave --python out, or name another"
    done
    fail "Python 3.11 or newer is needed and there is none on PATH: $(mend python)"
}

# --------------------------------------------------------------------------- places

places() {
    if [ "$system" = yes ]; then
        [ "$(id -u)" = 0 ] || fail "--system writes to /usr/local/lib/docker and needs root: sudo ./install.sh --system"
        base=/usr/local/lib/docker-pushsafe
        plugins=/usr/local/lib/docker/cli-plugins
    else
        [ -n "${HOME-}" ] || fail "HOME is not set: HOME=/your/home ./install.sh"
        base=${XDG_DATA_HOME:-$HOME/.local/share}/docker-pushsafe
        plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
    fi
    case $base$plugins in
        /*) ;;
        *) fail "XDG_DATA_HOME must be an absolute path, not ${XDG_DATA_HOME-}" ;;
    esac
    case $plugins in
        /*) ;;
        *) plugins=$PWD/$plugins ;;
    esac
    link=$plugins/docker-pushsafe
    target=$base/current/bin/docker-pushsafe
}

# ours PATH: whether it is the link that we make.
ours() {
    [ -L "$1" ] && [ "$(readlink "$1")" = "$target" ]
}

make_dir() {
    [ -d "$1" ] && return
    make_dir "$(dirname -- "$1")"
    mkdir -- "$1" || fail "cannot make the folder $1: check its permissions"
    new_dirs="$1
$new_dirs"
}

# --------------------------------------------------------------------------- install

new_dirs=
new_venv=
new_link=
old_current=
switched=
finished=

roll_back() {
    [ -z "$finished" ] || return 0
    [ -z "$new_link" ] || rm -f -- "$new_link"
    if [ -n "$switched" ]; then
        if [ -n "$old_current" ]; then point_current "$old_current"; else rm -f -- "$base/current"; fi
    fi
    [ -z "$new_venv" ] || rm -rf -- "$new_venv"
    printf '%s' "$new_dirs" | while read -r dir; do rmdir -- "$dir" 2>/dev/null || :; done
}

# rename(2), which mv cannot be told to use for a link to a folder everywhere.
point_current() {
    ln -s -- "$1" "$base/.current.$$"
    "$python" -I -c 'import os, sys; os.replace(sys.argv[1], sys.argv[2])' "$base/.current.$$" "$base/current"
}

build() { # build [PIP-OPTION...]
    source=$new_venv/.source
    # A copy, because a build leaves its traces where it happens.
    mkdir "$source" "$source.tmp"
    TMPDIR=$source.tmp "$python" -I -m venv "$new_venv" >"$log" 2>&1 || return 1
    for part in setup.cfg pyproject.toml README.md LICENSE docker-pushsafe pushsafe; do
        if [ -e "$here/$part" ]; then cp -R -- "$here/$part" "$source/"; fi
    done
    # The user's own pip settings stay in force (mirrors, proxies), but for one that cannot work in a venv. What a pip
    # that is interrupted leaves behind, here or above, goes the way of the rest.
    TMPDIR=$source.tmp PIP_USER=0 "$new_venv/bin/python" -I -m pip install --no-input --disable-pip-version-check "$@" "$source" >>"$log" 2>&1 || return 1
    rm -rf -- "$source" "$source.tmp"
    # These name the folder they were made in, and it is reached through another.
    rm -f -- "$new_venv"/bin/activate* "$new_venv"/bin/Activate*
    "$new_venv/bin/docker-pushsafe" --version >>"$log" 2>&1
}

require_tree() {
    [ -f "$here/setup.cfg" ] && [ -d "$here/pushsafe" ] || fail "run it from docker-pushsafe's source tree: $here is none"
}

require_python() {
    find_python
    "$python" -I -c 'import venv, ensurepip' 2>/dev/null || fail "$python lacks the venv module: $(mend venv)"
}

roll_back_at_the_end() {
    trap roll_back EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

install() {
    places
    require_tree
    command -v docker >/dev/null || fail "docker is needed and not on PATH: $(mend docker)"
    require_python
    if [ -e "$link" ] || [ -L "$link" ]; then
        ours "$link" || fail "$link is there already and was not made by install.sh: rm '$link'"
    fi
    if [ -n "${PUSHSAFE_PYTHON-}" ]; then
        echo "install.sh: PUSHSAFE_PYTHON is set: docker pushsafe will run $PUSHSAFE_PYTHON while it is" >&2
        # Not for the trial runs below: they are of what is being installed.
        unset PUSHSAFE_PYTHON
    fi
    [ ! -L "$base/current" ] || old_current=$(readlink "$base/current")

    roll_back_at_the_end
    make_dir "$base"
    make_dir "$plugins"
    new_venv=$(mktemp -d "$base/venv.XXXXXX")
    chmod 755 "$new_venv"
    log=$new_venv/install.log
    echo "Installing docker-pushsafe with $python ..."
    if ! build --compile; then
        cat -- "$log" >&2
        fail "the installation failed, see above; nothing was changed"
    fi
    switched=yes
    point_current "${new_venv##*/}"
    if ! ours "$link"; then
        new_link=$link
        ln -s -- "$target" "$link" || fail "cannot write $link: check its permissions"
    fi
    if ! version=$(docker pushsafe --version 2>"$log"); then
        cat -- "$log" >&2
        fail "docker does not run the plugin, see above; nothing was changed"
    fi
    rm -f -- "$log"
    {
        [ -z "$new_link" ] || printf 'link %s\n' "$new_link"
        printf '%s' "$new_dirs" | sed 's/^/dir /'
    } >>"$base/made"
    finished=yes
    for old in "$base"/venv.*; do
        [ "$old" = "$new_venv" ] || rm -rf -- "$old"
    done
    echo "$version"
    echo "  program  $base"
    echo "  plugin   $link"
    echo "See it work: docker pushsafe try"
}

# --------------------------------------------------------------------------- try

try() {
    [ "$system" = no ] || fail "--try installs nothing, for nobody: leave --system out" 2
    require_tree
    require_python
    # The tour is of this source tree, whatever else is meant to run elsewhere.
    unset PUSHSAFE_PYTHON
    roll_back_at_the_end
    new_venv=$(mktemp -d "${TMPDIR:-/tmp}/docker-pushsafe.XXXXXX")
    log=$new_venv/install.log
    echo "Building docker-pushsafe in a temporary folder with $python, which takes some seconds ..."
    # A start compiles no more than it needs, and there are few of them.
    if ! build --no-compile; then
        cat -- "$log" >&2
        fail "it could not be built, see above; nothing is left of it (pip fetches packages: check HTTPS_PROXY, or pip config list)"
    fi
    echo
    status=0
    "$new_venv/bin/docker-pushsafe" try || status=$?
    [ "$status" != 0 ] || echo "  ./install.sh                   installs it"
    exit "$status"
}

# --------------------------------------------------------------------------- uninstall

uninstall() {
    places
    foreign=
    if { [ -e "$link" ] || [ -L "$link" ]; } && ! ours "$link"; then foreign=yes; fi
    if [ ! -d "$base" ] && ! ours "$link"; then
        [ -z "$foreign" ] || fail "$link was not made by install.sh and stays: rm '$link'"
        echo "docker-pushsafe is not installed here; nothing to remove."
        return
    fi
    if ours "$link"; then rm -f -- "$link"; fi
    made=
    if [ -f "$base/made" ]; then made=$(cat -- "$base/made"); fi
    printf '%s\n' "$made" | while read -r kind path; do
        if [ "$kind" = link ] && ours "$path"; then rm -f -- "$path"; fi
    done
    rm -rf -- "$base"/venv.*
    rm -f -- "$base/current" "$base"/.current.* "$base/made"
    rmdir -- "$base" 2>/dev/null || echo "install.sh: $base holds something else and stays" >&2
    # Longest first: a folder goes before the one that it is in.
    printf '%s\n' "$made" | sed -n 's/^dir //p' | awk '{ print length($0) " " $0 }' | sort -rn | while read -r _ path; do
        rmdir -- "$path" 2>/dev/null || :
    done
    echo "Removed docker-pushsafe."
    [ -z "$foreign" ] || echo "install.sh: $link was not made by install.sh and stays" >&2
}

# --------------------------------------------------------------------------- the command line

here=$(cd -- "$(dirname -- "$0")" && pwd)
system=no
action=install
wanted=
while [ $# -gt 0 ]; do
    case $1 in
        --system) system=yes ;;
        --uninstall) action=uninstall ;;
        --try) action=try ;;
        --python)
            [ -n "${2-}" ] || fail "--python needs the name of a program: ./install.sh --help" 2
            wanted=$2
            shift
            ;;
        -h | --help) usage && exit 0 ;;
        *) fail "unknown option $1: ./install.sh --help" 2 ;;
    esac
    shift
done
"$action"
