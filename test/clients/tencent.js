'use strict';

// Makes calls by the public client of Tencent Cloud for Node.js, unmodified: reads a JSON
// object from standard input, {endpoint, id, secret, region, sign, method, steps}, of which
// each step is {action, params}, and writes a list with an {answer} or an {error: {code,
// message}} for each. A text $i.path in params is what the answer of step i has there.

const { vpc } = require('tencentcloud-sdk-nodejs');

// filled puts what earlier answers have in the place of references to it.
function filled(value, results) {
  if (Array.isArray(value)) {
    return value.map((v) => filled(v, results));
  }
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, filled(v, results)]));
  }
  if (typeof value === 'string' && value.startsWith('$')) {
    const [step, ...path] = value.slice(1).split('.');
    return path.reduce((at, name) => at[name], results[Number(step)].answer);
  }
  return value;
}

async function main() {
  let text = '';
  for await (const chunk of process.stdin) {
    text += chunk;
  }
  const { endpoint, id, secret, region, sign, method, steps } = JSON.parse(text);
  const client = new vpc.v20170312.Client({
    credential: { secretId: id, secretKey: secret },
    region,
    profile: { signMethod: sign, httpProfile: { endpoint, protocol: 'http://', reqMethod: method } },
  });
  const results = [];
  for (const { action, params } of steps) {
    try {
      results.push({ answer: await client[action](filled(params, results)) });
    } catch (e) {
      results.push({ error: { code: String(e.code), message: String(e.message) } });
    }
  }
  await new Promise((done) => process.stdout.write(JSON.stringify(results), done));
}

main().then(() => process.exit(0), (e) => {
  console.error(e);
  process.exit(1);
});
