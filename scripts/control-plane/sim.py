"""sim.py DIR: what runs inside an InfluxDB Clustered namespace and cannot be had here, played on a real control plane.

It is the kubelet (pods reach Running or Succeeded, and take a while to go after deletion), the images of the jobs
(key-gen writes secret rsa-keys, create-admin-token writes secret admin-token, each only if it is missing), the kubit
operator if SIM_OPERATOR=1 (creates missing jobs again unless the AppInstance is paused), and the token check:
POST /check accepts a token signed by the key that a token-management pod, not yet gone, loaded when it started. With
SIM_STICKY=1 it also accepts the token last seen in secret admin-token until another is there (docs-v2 pull 5612)."""
import base64, datetime, hashlib, http.client, http.server, json, os, secrets, ssl, sys, threading, time

DIR, API, TOKEN = sys.argv[1], os.environ["SIM_API"], os.environ["SIM_TOKEN"]
OPERATOR = os.environ.get("SIM_OPERATOR", "0") == "1"
STICKY = os.environ.get("SIM_STICKY", "0") == "1"
JOB_SECONDS = float(os.environ.get("SIM_JOB_SECONDS", "0.3"))
TERM_SECONDS = float(os.environ.get("SIM_TERM_SECONDS", "0.5"))
NAMESPACES = os.environ.get("SIM_NAMESPACES", "influxdb").split()
CTX = ssl._create_unverified_context()
started, doomed, loaded = {}, {}, {}          # pod uid -> time bound / time deletion seen / key id loaded
running = {}                                  # namespace -> uids of its pods, those going away too: they still serve
last_token = {}                               # namespace -> what secret admin-token last held
connection = threading.local()


def call(method, path, body=None, ctype="application/json"):
    headers = {"Authorization": "Bearer " + TOKEN, "Content-Type": ctype}
    data = json.dumps(body) if body is not None else None
    for last in (False, True):                # one connection a thread; made anew if the server has closed it meanwhile
        try:
            if not hasattr(connection, "c"):
                host, port = API.split(":")
                connection.c = http.client.HTTPSConnection(host, int(port), context=CTX, timeout=10)
            connection.c.request(method, path, data, headers)
            r = connection.c.getresponse()
            d = r.read()
            return r.status, (json.loads(d) if d else None)
        except (OSError, http.client.HTTPException):
            if hasattr(connection, "c"):
                connection.c.close()
                del connection.c
            if last: raise


def b64(b): return base64.b64encode(b).decode()
def url64(b): return base64.urlsafe_b64encode(b).rstrip(b"=").decode()
def merge(path, body): return call("PATCH", path, body, "application/merge-patch+json")


def secret(ns, name):
    st, s = call("GET", f"/api/v1/namespaces/{ns}/secrets/{name}")
    return {k: base64.b64decode(v) for k, v in (s.get("data") or {}).items()} if st == 200 else None


def make_secret(ns, name, data):
    call("POST", f"/api/v1/namespaces/{ns}/secrets", {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": name},
                                                      "data": {k: b64(v) for k, v in data.items()}})


def run_image(ns, job):
    if "key-gen" in job:
        if secret(ns, "rsa-keys") is None:
            k = secrets.token_bytes(64)
            pem = b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(k) + b"\n-----END PRIVATE KEY-----\n"
            make_secret(ns, "rsa-keys", {"private-key.pem": pem, "kid": hashlib.sha256(k).hexdigest()[:16].encode()})
    elif "create-admin-token" in job:
        keys = secret(ns, "rsa-keys")
        if keys is None: return False
        if secret(ns, "admin-token") is None:
            now = int(time.time())
            head = {"alg": "RS256", "kid": keys["kid"].decode(), "typ": "JWT"}
            claims = {"iss": "admin", "sub": "admin-token", "iat": now, "exp": now + 315360000, "jti": secrets.token_hex(8)}
            jwt = ".".join([url64(json.dumps(head).encode()), url64(json.dumps(claims).encode()), url64(secrets.token_bytes(64))])
            make_secret(ns, "admin-token", {"token": json.dumps({"access_token": jwt, "token_type": "Bearer"}).encode()})
    return True


def pod_tick(ns, p, now):
    m, uid = p["metadata"], p["metadata"]["uid"]
    path = f"/api/v1/namespaces/{ns}/pods/{m['name']}"
    if "deletionTimestamp" in m:
        if now - doomed.setdefault(uid, now) > TERM_SECONDS:
            call("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})
        return
    if not p["spec"].get("nodeName"):
        call("POST", path + "/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": m["name"]},
                                         "target": {"apiVersion": "v1", "kind": "Node", "name": "sim-node"}})
        started[uid] = now
        return
    phase = p.get("status", {}).get("phase")
    ts = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    cs = [{"name": c["name"], "image": c["image"], "imageID": "sim", "ready": False, "restartCount": 0, "started": False, "state": {}}
          for c in p["spec"]["containers"]]
    job = m.get("labels", {}).get("job-name")
    if job:
        if phase in ("Succeeded", "Failed") or now - started.setdefault(uid, now) < JOB_SECONDS: return
        ok = "fail" not in (m.get("annotations") or {}).get("sim", "") and run_image(ns, job)
        for c in cs:
            c["state"] = {"terminated": {"exitCode": 0 if ok else 1, "reason": "Completed" if ok else "Error",
                                         "finishedAt": ts, "startedAt": ts, "containerID": "sim://x"}}
        merge(path + "/status", {"status": {"phase": "Succeeded" if ok else "Failed", "containerStatuses": cs,
                                            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": ts}]}})
    elif phase != "Running" or uid not in loaded:            # (Running and not loaded: sim.py itself was restarted)
        loaded[uid] = None
        if any((v.get("secret") or {}).get("secretName") == "rsa-keys" for v in p["spec"].get("volumes", [])):
            keys = secret(ns, "rsa-keys")
            if keys is None: return                      # as a real kubelet: waits for the secret to mount
            loaded[uid] = keys["kid"].decode()
        if phase == "Running": return
        for c in cs:
            c["ready"] = c["started"] = True
            c["state"] = {"running": {"startedAt": ts}}
        conditions = [{"type": t, "status": "True", "lastTransitionTime": ts} for t in ("Initialized", "Ready", "ContainersReady", "PodScheduled")]
        merge(path + "/status", {"status": {"phase": "Running", "startTime": ts, "containerStatuses": cs, "conditions": conditions}})


def operator_tick(ns):
    st, ai = call("GET", f"/apis/kubecfg.dev/v1alpha1/namespaces/{ns}/appinstances/{ns}")
    if st != 200 or ai["spec"].get("pause"): return
    with open(f"{DIR}/objects-{ns}.json") as f: objects = json.load(f)["items"]
    for o in objects:
        if o["kind"] == "Job": call("POST", f"/apis/batch/v1/namespaces/{ns}/jobs", o)     # 409 where it exists


def loop(ns):
    while True:
        try:
            st, pods = call("GET", f"/api/v1/namespaces/{ns}/pods")
            now = time.time()
            pods = sorted(pods["items"], key=lambda p: "key-gen" not in p["metadata"]["name"]) if st == 200 else []   # keys before tokens
            for p in pods: pod_tick(ns, p, now)
            if st == 200: running[ns] = {p["metadata"]["uid"] for p in pods}
            if STICKY: last_token[ns] = (secret(ns, "admin-token") or {}).get("token", last_token.get(ns))
            if OPERATOR: operator_tick(ns)
        except Exception as e: print("sim:", repr(e), file=sys.stderr, flush=True)
        time.sleep(0.15)


class Check(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode(errors="replace").strip()
        try:
            jwt = json.loads(body)["access_token"] if body.startswith("{") else body
            h = jwt.split(".")[0]
            kid = json.loads(base64.urlsafe_b64decode(h + "=" * (-len(h) % 4)))["kid"]
        except Exception: kid = None
        uids = set().union(*list(running.values()))
        accepted = kid and any(loaded.get(u) == kid for u in uids) or STICKY and body.encode() in last_token.values()
        self.send_response(200 if accepted else 401)
        self.end_headers()

    def log_message(self, *a): pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["SIM_HTTP"])), Check)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for n in NAMESPACES[1:] + (["kubit"] if OPERATOR else []): threading.Thread(target=loop, args=(n,), daemon=True).start()
    loop(NAMESPACES[0])
