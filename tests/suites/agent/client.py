"""Writes a manifest with nats-py, waits for its status, and validates both with jsonschema."""

import asyncio
import hashlib
import json
import sys

import jsonschema
import nats

url, schemas = sys.argv[1:3]


def schema(name):
    with open(f"{schemas}/{name}.schema.json") as file:
        return json.load(file)


async def main():
    spec = {"path": "/etc/motd", "createParents": True, "content": {"inline": "from python\n"}}
    manifest = {
        "apiVersion": "holdfast/v1",
        "kind": "AgentManifest",
        "agentId": "pump-1",
        "generation": 3,
        "resources": [{"id": "motd", "kind": "File", "spec": spec}],
    }
    jsonschema.validate(manifest, schema("agent-manifest"), cls=jsonschema.Draft202012Validator)
    client = await nats.connect(url)
    fleet = await client.jetstream().key_value("fleet")
    await fleet.put("desired-state.pump-1", json.dumps(manifest).encode())
    canonical = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    digest = "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()
    while True:
        try:
            entry = await fleet.get("actual-state.pump-1")
        except nats.js.errors.KeyNotFoundError:
            await asyncio.sleep(0.05)
            continue
        status = json.loads(entry.value)
        jsonschema.validate(status, schema("agent-status"), cls=jsonschema.Draft202012Validator)
        ready = next(c for c in status["conditions"] if c["type"] == "Ready")
        if ready["status"] == "True":
            break
        await asyncio.sleep(0.05)
    assert status["manifestGeneration"] == 3, status
    assert ready["observedGeneration"] == 3, status
    assert status["resources"]["motd"]["specDigest"] == digest, status
    await client.close()


asyncio.run(asyncio.wait_for(main(), 60))
