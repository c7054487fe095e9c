"""What the WebSocket services are compared with: each is a server of its own on loopback, with the
Redis that it is given. where: its address; process: the one whose costs count (its pid).
"""
import collections
import contextlib
import os
import shutil
import signal
import subprocess

from harness.process import clean_environment
from harness.redis import free_port

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")

Peer = collections.namedtuple("Peer", "where process")
Pid = collections.namedtuple("Pid", "pid")

# Without storage in Redis: our messages are not stored either, and it is its fastest way.
NGINX = """
load_module {module};
worker_processes 1;
worker_rlimit_nofile 20000;
daemon off;
pid {directory}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 19000; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    nchan_shared_memory_size 256M;
    upstream map {{
        nchan_redis_server {redis};
        nchan_redis_storage_mode {storage};
    }}
    server {{
        listen 127.0.0.1:{port} backlog=8192{tls};
        {certificate}
        location ~ ^/sub/(.+)$ {{
            nchan_subscriber websocket;
            nchan_channel_id $1;
            nchan_redis_pass map;
            nchan_subscriber_first_message newest;
            nchan_websocket_ping_interval 20s;
        }}
        location ~ ^/pub/(.+)$ {{
            nchan_publisher websocket;
            nchan_channel_id $1;
            nchan_redis_pass map;
            nchan_message_buffer_length {buffer};
        }}
    }}
}}
"""


def _children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(one) for one in file.read().split()]


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def nchan(t, redis, certificate=None, storage="nostore", buffer=1):
    """nginx with Debian's Nchan module, one worker. redis has a TCP port."""
    directory = t.directory("nginx")
    port = free_port()
    pair = f"ssl_certificate {certificate[0]}; ssl_certificate_key {certificate[1]};" if certificate else ""
    config = os.path.join(directory, "nginx.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(NGINX.format(module="/usr/lib/nginx/modules/ngx_nchan_module.so", directory=directory,
                                redis=f"127.0.0.1:{redis.port}", port=port, storage=storage, buffer=buffer,
                                tls=" ssl" if certificate else "", certificate=pair))
    workers = []
    # Run after the master's end, which would start another one; a worker does not end with it.
    t.stack.callback(lambda: [_kill(worker) for worker in workers])
    process = t.start("nginx", ["nginx", "-p", directory, "-e", "stderr", "-c", config])
    process.wait_for_log(r"nchan: Redis upstream map: ready", 20)
    workers += _children(process.pid)
    return Peer(f"127.0.0.1:{port}", Pid(workers[0]))


def socketio(t, redis, certificate=None):
    """Socket.IO with its Redis adapter in one Node process, as tests/bench/peers has it."""
    directory = _install(os.path.join(t.build, "bench", "peers"))
    process = t.start("socketio", ["node", "socketio.mjs", redis.socket, *reversed(certificate or ())], cwd=directory)
    port = process.wait_for_log(r"^port \d+$", 30).split()[1]
    return Peer(f"127.0.0.1:{port}", process)


def _install(directory):
    """The packages in that directory, as locked; only once for each lock file."""
    lock, there = os.path.join(HERE, "package-lock.json"), os.path.join(directory, "package-lock.json")
    os.makedirs(directory, exist_ok=True)
    shutil.copy(os.path.join(HERE, "socketio.mjs"), directory)
    if os.path.isdir(os.path.join(directory, "node_modules")) and os.path.exists(there):
        with open(lock, "rb") as wanted, open(there, "rb") as installed:
            if wanted.read() == installed.read():
                return directory
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, name), directory)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier",
                    "--loglevel=error"],
                   cwd=directory, check=True, stdout=subprocess.DEVNULL,
                   env=clean_environment({"HOME": directory}))
    return directory
