"""sim.py DIR: simulates an InfluxDB Clustered namespace on a real control plane.

It acts as:

- the kubelet: pods become Running or Succeeded, and take some time to terminate
- the images of the jobs: key-gen creates the secret rsa-keys and create-admin-token the secret
  admin-token, each only if it is missing
- the kubit operator, with SIM_OPERATOR=1: recreates missing jobs unless the AppInstance is paused
- the token check: POST /check accepts a token if its key was loaded at its start by a
  token-management pod that still exists

A file DIR/stale-backend with a key ID adds a backend that no restart reaches: it answers every
second request and accepts the tokens of that key.

With SIM_STICKY=1 the token check also accepts the last content of the secret admin-token until the
secret has another token (docs-v2 pull 5612).
"""
import base64, datetime, hashlib, http.client, http.server, itertools, json, os, secrets, ssl, sys
import threading, time

DIR, API, TOKEN = sys.argv[1], os.environ["SIM_API"], os.environ["SIM_TOKEN"]
OPERATOR = os.environ.get("SIM_OPERATOR", "0") == "1"
STICKY = os.environ.get("SIM_STICKY", "0") == "1"
JOB_SECONDS = float(os.environ.get("SIM_JOB_SECONDS", "0.3"))
TERM_SECONDS = float(os.environ.get("SIM_TERM_SECONDS", "0.5"))
NAMESPACES = os.environ.get("SIM_NAMESPACES", "influxdb").split()
TLS = ssl._create_unverified_context()
# By pod UID.
started_at, terminating_since, loaded_key_ids = {}, {}, {}
# Pod UIDs by namespace. Terminating pods still serve.
running_pods = {}
# The last content of the secret admin-token by namespace.
last_tokens = {}
requests = itertools.count()
local = threading.local()


def call(method, path, body=None, content_type="application/json"):
    headers = {"Authorization": "Bearer " + TOKEN, "Content-Type": content_type}
    data = json.dumps(body) if body is not None else None
    # Each thread keeps a connection. The second attempt is for one that the server has closed.
    for is_last in (False, True):
        try:
            if not hasattr(local, "connection"):
                host, port = API.split(":")
                local.connection = http.client.HTTPSConnection(
                    host, int(port), context=TLS, timeout=10)
            local.connection.request(method, path, data, headers)
            response = local.connection.getresponse()
            content = response.read()
            return response.status, (json.loads(content) if content else None)
        except (OSError, http.client.HTTPException):
            if hasattr(local, "connection"):
                local.connection.close()
                del local.connection
            if is_last: raise


def base64_text(data): return base64.b64encode(data).decode()
def base64_url(data): return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
def patch(path, body): return call("PATCH", path, body, "application/merge-patch+json")


def read_secret(ns, name):
    status, secret = call("GET", f"/api/v1/namespaces/{ns}/secrets/{name}")
    if status != 200: return None
    return {k: base64.b64decode(v) for k, v in (secret.get("data") or {}).items()}


def create_secret(ns, name, data):
    call("POST", f"/api/v1/namespaces/{ns}/secrets",
         {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": name},
          "data": {k: base64_text(v) for k, v in data.items()}})


def create_keys(ns):
    key = secrets.token_bytes(64)
    pem = (b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(key)
           + b"\n-----END PRIVATE KEY-----\n")
    key_id = hashlib.sha256(key).hexdigest()[:16]
    create_secret(ns, "rsa-keys", {"private-key.pem": pem, "kid": key_id.encode()})


def create_token(ns, key_id):
    now = int(time.time())
    header = {"alg": "RS256", "kid": key_id, "typ": "JWT"}
    claims = {"iss": "admin", "sub": "admin-token", "iat": now, "exp": now + 315360000,
              "jti": secrets.token_hex(8)}
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), secrets.token_bytes(64))
    token = {"access_token": ".".join(map(base64_url, parts)), "token_type": "Bearer"}
    create_secret(ns, "admin-token", {"token": json.dumps(token).encode()})


def run_image(ns, job):
    """Runs the image of a job. Returns False if it fails."""
    if "key-gen" in job:
        if read_secret(ns, "rsa-keys") is None: create_keys(ns)
    elif "create-admin-token" in job:
        keys = read_secret(ns, "rsa-keys")
        if keys is None: return False
        if read_secret(ns, "admin-token") is None: create_token(ns, keys["kid"].decode())
    return True


def update_pod(ns, pod, now):
    metadata, uid = pod["metadata"], pod["metadata"]["uid"]
    path = f"/api/v1/namespaces/{ns}/pods/{metadata['name']}"
    if "deletionTimestamp" in metadata:
        if now - terminating_since.setdefault(uid, now) > TERM_SECONDS:
            call("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})
        return
    if not pod["spec"].get("nodeName"):
        call("POST", path + "/binding",
             {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": metadata["name"]},
              "target": {"apiVersion": "v1", "kind": "Node", "name": "sim-node"}})
        started_at[uid] = now
        return
    job = metadata.get("labels", {}).get("job-name")
    if job: update_job_pod(ns, pod, path, job, now)
    else: update_service_pod(ns, pod, path)


def timestamp():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def container_statuses(pod, is_ready, state):
    return [{"name": c["name"], "image": c["image"], "imageID": "sim", "ready": is_ready,
             "restartCount": 0, "started": is_ready, "state": state}
            for c in pod["spec"]["containers"]]


def update_job_pod(ns, pod, path, job, now):
    metadata, uid = pod["metadata"], pod["metadata"]["uid"]
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"): return
    if now - started_at.setdefault(uid, now) < JOB_SECONDS: return
    must_fail = "fail" in (metadata.get("annotations") or {}).get("sim", "")
    succeeded, time_now = not must_fail and run_image(ns, job), timestamp()
    state = {"terminated": {
        "exitCode": 0 if succeeded else 1, "reason": "Completed" if succeeded else "Error",
        "finishedAt": time_now, "startedAt": time_now, "containerID": "sim://x"}}
    condition = {"type": "Ready", "status": "False", "lastTransitionTime": time_now}
    patch(path + "/status", {"status": {
        "phase": "Succeeded" if succeeded else "Failed",
        "containerStatuses": container_statuses(pod, False, state), "conditions": [condition]}})


def update_service_pod(ns, pod, path):
    uid, is_running = pod["metadata"]["uid"], pod.get("status", {}).get("phase") == "Running"
    # After a restart of sim.py a pod can be running without a known key.
    if is_running and uid in loaded_key_ids: return
    loaded_key_ids[uid] = None
    volumes = pod["spec"].get("volumes", [])
    if any((v.get("secret") or {}).get("secretName") == "rsa-keys" for v in volumes):
        keys = read_secret(ns, "rsa-keys")
        # A real kubelet waits for the secret to mount.
        if keys is None: return
        loaded_key_ids[uid] = keys["kid"].decode()
    if is_running: return
    time_now = timestamp()
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": time_now}
                  for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")]
    statuses = container_statuses(pod, True, {"running": {"startedAt": time_now}})
    patch(path + "/status", {"status": {
        "phase": "Running", "startTime": time_now, "containerStatuses": statuses,
        "conditions": conditions}})


def recreate_jobs(ns):
    path = f"/apis/kubecfg.dev/v1alpha1/namespaces/{ns}/appinstances/{ns}"
    status, instance = call("GET", path)
    if status != 200 or instance["spec"].get("pause"): return
    with open(f"{DIR}/objects-{ns}.json") as f: objects = json.load(f)["items"]
    for item in objects:
        # The server answers 409 if the job exists.
        if item["kind"] == "Job": call("POST", f"/apis/batch/v1/namespaces/{ns}/jobs", item)


def update_namespace(ns):
    status, pods = call("GET", f"/api/v1/namespaces/{ns}/pods")
    now = time.time()
    if status == 200:
        # Keys before tokens.
        pods = sorted(pods["items"], key=lambda p: "key-gen" not in p["metadata"]["name"])
        for pod in pods: update_pod(ns, pod, now)
        running_pods[ns] = {p["metadata"]["uid"] for p in pods}
    if STICKY:
        secret = read_secret(ns, "admin-token") or {}
        last_tokens[ns] = secret.get("token", last_tokens.get(ns))
    if OPERATOR: recreate_jobs(ns)


def run_loop(ns):
    while True:
        try: update_namespace(ns)
        except Exception as e: print("sim:", repr(e), file=sys.stderr, flush=True)
        time.sleep(0.15)


def parse_key_id(body):
    try:
        jwt = json.loads(body)["access_token"] if body.startswith("{") else body
        header = jwt.split(".")[0]
        return json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    except Exception: return None


def read_stale_key_id():
    try:
        with open(f"{DIR}/stale-backend") as f: return f.read().strip()
    except FileNotFoundError: return None


def is_accepted(body):
    key_id, stale_key_id = parse_key_id(body), read_stale_key_id()
    if stale_key_id and next(requests) % 2: return key_id == stale_key_id
    uids = set().union(*list(running_pods.values()))
    if key_id and any(loaded_key_ids.get(uid) == key_id for uid in uids): return True
    return STICKY and body.encode() in last_tokens.values()


class TokenCheck(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers["Content-Length"] or 0)
        body = self.rfile.read(length).decode(errors="replace").strip()
        self.send_response(200 if is_accepted(body) else 401)
        self.end_headers()

    def log_message(self, *arguments): pass


if __name__ == "__main__":
    address = ("127.0.0.1", int(os.environ["SIM_HTTP"]))
    server = http.server.ThreadingHTTPServer(address, TokenCheck)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for ns in NAMESPACES[1:] + (["kubit"] if OPERATOR else []):
        threading.Thread(target=run_loop, args=(ns,), daemon=True).start()
    run_loop(NAMESPACES[0])
