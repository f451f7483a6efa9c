# shellcheck shell=bash
# A Docker daemon for the tests, on a Debian machine that may have none. Source it, as root, from a script with
# `set -euo pipefail`; it fails where it cannot give one, for a suite without containers would pass for the wrong reason.

install_docker() {
    local packages=(docker.io iptables)
    if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
        apt-get update -qq
        if apt-cache show docker-cli >/dev/null 2>&1; then
            packages+=(docker-cli) # a package of its own since Debian 13
        fi
        DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${packages[@]}" >/dev/null
    fi
}

start_docker() {
    if timeout 20 docker info >/dev/null 2>&1; then
        echo "a Docker daemon answers already"
        return
    fi
    unset DOCKER_HOST
    docker_folder=$(mktemp --directory --tmpdir edge-sandbox-docker-XXXXXX)
    trap stop_docker EXIT
    # no job has a network, so the daemon needs no bridge, and no firewall to guard one
    dockerd --data-root "$docker_folder/data" --exec-root "$docker_folder/exec" --pidfile "$docker_folder/pid" \
        --bridge none --iptables=false --ip6tables=false >"$docker_folder/log" 2>&1 &
    docker_pid=$!
    for _ in $(seq 120); do
        if timeout 5 docker info >/dev/null 2>&1; then
            echo "started dockerd $(docker version --format '{{.Server.Version}}')"
            return
        fi
        kill -0 "$docker_pid" 2>/dev/null || break
        sleep 0.5
    done
    echo "dockerd did not start; the end of its log:" >&2
    tail -n 30 "$docker_folder/log" >&2
    return 1
}

# ends only the daemon that start_docker started
stop_docker() {
    kill "$docker_pid" 2>/dev/null || true
    wait "$docker_pid" 2>/dev/null || true
    rm -rf "$docker_folder"
}
