'use strict';

// Makes calls by the public clients for Node.js, unmodified: reads a JSON list from
// standard input, of {client, endpoint, id, secret, version, action, params}, and writes a
// list with an {answer} or an {error: {code, message}} for each. The answer of the typed
// client is what it has read, under the names on the wire.

const http = require('http');
const Core = require('@alicloud/pop-core');
const $dara = require('@darabonba/typescript');
const vpc = require('@alicloud/vpc20160428');
const { $OpenApiUtil } = require('@alicloud/openapi-core');

// nest makes {Tag: [{Key: "k"}]} of {"Tag.1.Key": "k"}.
function nest(params) {
  const root = {};
  for (const [name, value] of Object.entries(params)) {
    const path = name.split('.');
    let at = root;
    path.forEach((part, i) => {
      const key = /^[0-9]+$/.test(part) ? Number(part) - 1 : part;
      if (i === path.length - 1) {
        at[key] = value;
        return;
      }
      if (at[key] === undefined) {
        at[key] = /^[0-9]+$/.test(path[i + 1]) ? [] : {};
      }
      at = at[key];
    });
  }
  return root;
}

// typed gives a value the type that the client's class declares.
function typed(value, type) {
  if (type === 'number') {
    return Number(value);
  }
  if (type === 'boolean') {
    return value === 'true';
  }
  if (type && type.type === 'array') {
    return value.map((item) => typed(item, type.itemType));
  }
  if (typeof type === 'function') {
    return fill(type, value)[0];
  }
  return value;
}

// fill makes a request of a class, and returns what the class does not know.
function fill(type, values) {
  const request = new type({});
  const names = type.names();
  const types = type.types();
  const known = new Set();
  for (const [property, name] of Object.entries(names)) {
    if (values[name] !== undefined) {
      request[property] = typed(values[name], types[property]);
      known.add(name);
    }
  }
  return [request, Object.keys(values).filter((name) => !known.has(name))];
}

async function byCore(call) {
  const client = new Core({
    endpoint: 'http://' + call.endpoint, accessKeyId: call.id, accessKeySecret: call.secret, apiVersion: call.version,
  });
  try {
    return await client.request(call.action, call.params, { method: call.method, agent: new http.Agent() });
  } finally {
    client.keepAliveAgent.destroy();
  }
}

async function byTyped(call) {
  const client = new vpc.default({
    endpoint: call.endpoint, accessKeyId: call.id, accessKeySecret: call.secret, protocol: 'http', regionId: 'cn-hangzhou',
  });
  const name = Object.keys(vpc).find((n) => n.toLowerCase() === (call.action + 'request').toLowerCase());
  const method = Object.getOwnPropertyNames(Object.getPrototypeOf(client)).find((n) => n.toLowerCase() === call.action.toLowerCase());
  if (!name || !method) { // the client has no types for it
    const response = await client.callApi(new $OpenApiUtil.Params({
      action: call.action, version: call.version, protocol: 'HTTP', pathname: '/', method: 'POST', authType: 'AK', style: 'RPC',
      reqBodyType: 'formData', bodyType: 'json',
    }), new $OpenApiUtil.OpenApiRequest({ query: call.params }), new $dara.RuntimeOptions({}));
    return response.body;
  }
  const [request, unknown] = fill(vpc[name], nest(call.params));
  // What only the documents have goes beside.
  client._globalParameters = new $OpenApiUtil.GlobalParameters({
    queries: Object.fromEntries(Object.entries(call.params).filter(([n]) => unknown.includes(n.split('.')[0]))),
  });
  const response = await client[method](request);
  return response.body.toMap();
}

async function main() {
  let text = '';
  for await (const chunk of process.stdin) {
    text += chunk;
  }
  const results = [];
  for (const call of JSON.parse(text)) {
    try {
      const answer = call.client === 'pop-core' ? await byCore(call) : await byTyped(call);
      results.push({ answer });
    } catch (e) {
      results.push({ error: { code: String(e.code), message: String(e.message) } });
    }
  }
  // A pipe takes what it has room for; the rest would be lost with the process.
  await new Promise((done) => process.stdout.write(JSON.stringify(results), done));
}

main().then(() => process.exit(0), (e) => {
  console.error(e);
  process.exit(1);
});
