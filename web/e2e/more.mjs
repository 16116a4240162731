// `make e2e`, the second part: what needs no Jami daemon. Several accounts, a username at first
// run, the doctor, where the node begins, verification, a ban in a group, a whole backup restored.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { accessible, expect, pages, picture, settled, step, summary, until } from './report.mjs';
import { browser, Dht, directory, end, Names, Node, sandbox } from './world.mjs';

await sandbox();
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => (end(), process.exit(1)));
const T = { timeout: 60_000 };
let good = false;
try {
  const dht = await Dht.start();
  const [node, zuri, bakari, names, chromium] = await Promise.all([Node.start('amina', dht.address, 8332, 4311), Node.start('zuri', dht.address, 8333, 4312), Node.start('bakari', dht.address, 8334, 4313), Names.start(8391), browser()]);
  const context = await chromium.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', timezoneId: 'Africa/Nairobi', reducedMotion: 'reduce', permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  pages.add(page);
  const problems = [];
  const watch = (one) => {
    one.setDefaultTimeout(20_000);
    one.on('pageerror', (error) => problems.push(String(error)));
    one.on('console', (line) => line.type() === 'error' && !/ERR_CONNECTION|WebSocket connection|status of (401|404|422|502)/.test(line.text()) && problems.push(line.text()));
  };
  watch(page);
  const main = page.locator('main');
  const bubble = (text, on = page) => on.locator('.bubble', { hasText: text });
  const say = async (text) => {
    await page.getByRole('textbox', { name: /^Message to/ }).fill(text);
    await page.keyboard.press('Enter');
  };
  /** No part of the page sticks out of a narrow phone. */
  const narrow = async (view) => {
    await page.setViewportSize({ width: 320, height: 640 });
    await settled(page);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    await accessible(page, view + ' on a phone');
    await page.setViewportSize({ width: 1280, height: 800 });
    expect(wide <= 320, `${view} is ${wide} wide`);
  };
  const create = async (name) => {
    await page.getByRole('button', { name: /^Create an account/ }).click();
    await page.getByRole('textbox', { name: 'Your name' }).fill(name);
    await page.getByRole('button', { name: 'Create the account' }).click();
    await page.getByRole('heading', { name: 'A username, if you like' }).waitFor(T);
  };
  /** Whether a text is at somebody else's; not as long as they are still fetching the conversation. */
  const heard = async (who, conversation, text) => {
    const found = await who.node.ask('GET', `${who.path}/conversations/${conversation}/entries`).catch((error) => {
      if (/: 404: /.test(String(error))) return { entries: [] };
      throw error;
    });
    return found.entries.some((one) => one.body === text);
  };
  const switcher = page.locator('nav .account');
  const others = {};
  for (const [name, other] of Object.entries({ zuri, bakari })) {
    const { account, jami_id } = await other.ask('POST', '/accounts', { display_name: name[0].toUpperCase() + name.slice(1) });
    others[name] = { id: jami_id, path: '/accounts/' + account, node: other };
  }
  await zuri.ask('PATCH', others.zuri.path + '/names/server', { server: names.address });
  await zuri.ask('POST', others.zuri.path + '/names', { name: 'zuri' });

  await step('a username at first run: the server is looked at before it is asked', async () => {
    await page.goto(node.login());
    await page.getByRole('heading', { name: 'Take a seat' }).waitFor();
    await create('Amina');
    await accessible(page, 'a username at first run');
    await page.getByRole('textbox', { name: 'Name server' }).fill('http://127.0.0.1:9');
    await page.getByRole('button', { name: 'Use this server' }).click();
    await page.getByRole('alert').filter({ hasText: 'cannot be reached' }).waitFor();
    await page.getByRole('textbox', { name: 'Name server' }).fill(names.address);
    await page.getByRole('button', { name: 'Use this server' }).click();
    await page.getByRole('textbox', { name: 'Username' }).fill('zuri');
    await page.getByRole('button', { name: 'Is it free?' }).click();
    await page.getByText('Somebody has this name already').waitFor();
    await page.getByRole('textbox', { name: 'Username' }).fill('amina');
    await page.getByRole('button', { name: 'Is it free?' }).click();
    await page.getByText('amina is free').waitFor();
    await narrow('a username at first run');
    await page.getByRole('button', { name: 'Register it' }).click();
    await page.getByRole('heading', { name: 'Your account is ready' }).waitFor(T);
    await page.getByRole('button', { name: 'Later' }).click();
    await page.getByText('Nobody sits here yet').waitFor();
    await page.goto(node.address + '#/settings/names');
    await main.getByText('amina', { exact: true }).waitFor();
    await accessible(page, 'the username');
  });

  let chat = '';
  let amina = '';
  await step('somebody is added by username, after a look at whose it is', async () => {
    await page.goto(node.address + '#/new/person');
    await page.getByRole('textbox', { name: 'Jami ID or username' }).fill('zuri');
    await page.getByRole('button', { name: 'Look up the name' }).click();
    await page.locator('.notice .code', { hasText: others.zuri.id }).waitFor();
    await page.getByRole('textbox', { name: 'A note to go with it' }).fill('It is Amina');
    await page.getByRole('button', { name: 'Ask to talk' }).click();
    await page.getByText('has not accepted yet').waitFor();
    chat = new URL(page.url()).hash.split('/')[2];
    const [request] = await until(async () => (await zuri.ask('GET', others.zuri.path + '/requests')).length && zuri.ask('GET', others.zuri.path + '/requests'), 'the request at Zuri');
    amina = request.from;
    await zuri.ask('POST', `${others.zuri.path}/requests/${request.conversation}/accept`);
    await page.getByText('has not accepted yet').waitFor({ state: 'hidden', ...T });
    await say('Jambo!');
    await until(() => heard(others.zuri, chat, 'Jambo!'), 'the greeting at Zuri');
  });

  await step('a jump to a day', async () => {
    const jump = async (day) => {
      await page.getByRole('button', { name: 'Jump to a date' }).click();
      await page.getByLabel('Day', { exact: true }).fill(day);
      await page.getByRole('button', { name: 'Go there' }).click();
    };
    // The browser's day, which may be another one than here.
    await jump(await page.evaluate(() => {
      const now = new Date();
      return [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((part) => String(part).padStart(2, '0')).join('-');
    }));
    await page.locator('.marked', { hasText: 'Jambo!' }).waitFor();
    await jump('2001-09-09');
    await page.getByText('There is nothing of that day').waitFor();
  });

  await step('devices and verification on the page of a contact', async () => {
    await page.goto(node.address + '#/person/' + others.zuri.id);
    await page.getByRole('heading', { name: 'Verify who this is' }).waitFor();
    await page.locator('.devices .code').first().waitFor();
    const [device] = (await zuri.ask('GET', others.zuri.path + '/devices')).map((one) => one.id);
    expect((await page.locator('.devices .code').first().textContent()).replaceAll(' ', '') === device, 'another device');
    await page.getByRole('textbox', { name: 'What their device shows' }).fill('jami:' + others.bakari.id);
    await page.getByText('This is another account!').waitFor();
    await accessible(page, 'verification that fails');
    await page.getByRole('textbox', { name: 'What their device shows' }).fill(others.zuri.id.match(/.{4}/g).join(' '));
    await page.getByText('it is the same.').waitFor();
    await page.reload();
    await page.getByText('it is the same.').waitFor();
    await accessible(page, 'a verified contact');
    await narrow('a verified contact');
    await picture(page, 'contact-light');
  });

  let second = '';
  await step('a second account, and the switcher', async () => {
    await page.goto(node.address + '#/');
    await switcher.click();
    await page.getByRole('link', { name: 'Another account' }).click();
    await create('The shop');
    await page.getByRole('button', { name: 'Go on without one' }).click();
    await page.getByRole('button', { name: 'Later' }).click();
    await page.locator('.brand', { hasText: 'The shop' }).waitFor();
    await page.getByText('Nobody sits here yet').waitFor();
    [, second] = (await node.ask('GET', '/accounts')).map((one) => one.jami_id);
    await bakari.ask('POST', others.bakari.path + '/contacts', { id: second, message: 'Do you have sugar?' });
    await switcher.click();
    await page.locator('.accounts button', { hasText: 'Amina' }).click();
    await page.getByRole('link', { name: /Zuri/ }).waitFor();
    // What waits at the other account shows there, and in the title.
    await page.waitForFunction(() => document.title.startsWith('(1)'), null, T);
    await switcher.click();
    await page.locator('.accounts button', { hasText: 'The shop' }).locator('.badge', { hasText: '1' }).waitFor();
    await accessible(page, 'the switcher');
    await page.locator('.accounts button', { hasText: 'The shop' }).click();
    await page.getByRole('link', { name: /Wants to talk/ }).click();
    await page.getByRole('button', { name: 'Accept' }).click();
    await page.getByRole('textbox', { name: /^Message to/ }).waitFor({ timeout: 90_000 });
    expect((await page.getByRole('link', { name: /Zuri/ }).count()) === 0, 'conversations of the other account');
    // It stays chosen.
    await page.reload();
    await page.locator('.brand', { hasText: 'The shop' }).waitFor();
    await switcher.click();
    await page.locator('.accounts button', { hasText: 'Amina' }).click();
    await page.locator('.brand', { hasText: 'Amina' }).waitFor();
  });

  let group = '';
  await step('in a group, somebody is banned and taken back', async () => {
    await node.ask('POST', `/accounts/${amina}/contacts`, { id: others.bakari.id });
    const [request] = await until(async () => {
      const all = await bakari.ask('GET', others.bakari.path + '/requests');
      return all.length ? all : null;
    }, 'the request at Bakari');
    await bakari.ask('POST', `${others.bakari.path}/requests/${request.conversation}/accept`);
    await until(async () => (await node.ask('GET', `/accounts/${amina}/contacts/${others.bakari.id}`)).confirmed, 'Bakari as a contact');
    await until(async () => (await node.ask('GET', `/accounts/${amina}/contacts/${others.bakari.id}/profile`)).name === 'Bakari', 'the profile of Bakari');
    await page.goto(node.address + '#/new/group');
    await page.getByRole('textbox', { name: 'Title of the group' }).fill('The market');
    for (const name of ['Zuri', 'Bakari']) await page.getByRole('checkbox', { name }).check();
    await page.getByRole('button', { name: 'Make the group' }).click();
    await page.locator('.title', { hasText: 'The market' }).waitFor();
    group = new URL(page.url()).hash.split('/')[2];
    for (const [name, who] of Object.entries(others)) {
      await until(async () => (await who.node.ask('GET', who.path + '/requests')).some((one) => one.conversation === group), 'the invitation of ' + name);
      await who.node.ask('POST', `${who.path}/requests/${group}/accept`);
    }
    for (const name of ['Zuri', 'Bakari']) await page.locator('.happened', { hasText: name + ' joined' }).waitFor(T);
    await say('Prices are up');
    for (const [name, who] of Object.entries(others)) await until(() => heard(who, group, 'Prices are up'), 'the text at ' + name);
    await page.goto(node.address + `#/c/${group}/info`);
    await page.locator('aside').getByText('Admin', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Remove Bakari' }).click();
    await accessible(page, 'the question before a ban');
    await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
    await page.locator('.happened', { hasText: /Bakari.*(removed|banned)|(removed|banned).*Bakari/i }).waitFor(T);
    await page.locator('aside').getByText('Removed', { exact: true }).waitFor();
    await accessible(page, 'a group with somebody banned');
    await page.goto(node.address + '#/c/' + group);
    await say('Without Bakari');
    await until(() => heard(others.zuri, group, 'Without Bakari'), 'the text at Zuri');
    expect(!(await heard(others.bakari, group, 'Without Bakari')), 'who was banned still hears');
    await page.goto(node.address + `#/c/${group}/info`);
    await page.getByRole('button', { name: 'Take back' }).click();
    await page.getByRole('button', { name: 'Take back' }).waitFor({ state: 'hidden', ...T });
  });

  await step('the doctor: all, one alone, and a report without anybody in it', async () => {
    await page.goto(node.address + '#/status');
    await page.getByRole('link', { name: 'Test everything' }).click();
    await page.getByRole('heading', { name: 'Doctor' }).waitFor();
    await accessible(page, 'the doctor before');
    await page.getByRole('button', { name: 'Test all' }).click();
    const check = (name) => page.locator(`[data-check=${name}]`);
    for (const name of ['dht', 'nat', 'ports', 'turn', 'proxy', 'name_server', 'clock', 'disk', 'backups', 'versions']) await check(name).locator('.verdict').filter({ hasNotText: /testing|not tested/ }).waitFor(T);
    await check('turn').getByText('nothing to test').waitFor();
    await check('ports').locator('.verdict', { hasText: /^ok$/ }).waitFor();
    await check('ports').getByText('comes back answered').waitFor();
    await check('name_server').getByText('The name server on this machine').waitFor();
    await check('clock').getByText('agrees with that of the name server').waitFor();
    await check('disk').getByText('The database is whole').waitFor();
    await check('backups').getByText('An account is in no backup').waitFor();
    await settled(page);
    await accessible(page, 'the doctor');
    await narrow('the doctor');
    await picture(page, 'doctor-light');
    await page.getByRole('button', { name: 'Test: Disk' }).click();
    await check('disk').locator('.verdict', { hasText: /^(ok|worth a look)$/ }).waitFor();
    const saved = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save the report' }).click();
    const report = readFileSync(await (await saved).path(), 'utf8');
    expect(/Name server: ok/.test(report), report);
    for (const secret of [amina, second, 'Amina', 'The shop', 'amina', '127.0.0.1', '10.', directory]) expect(!report.includes(secret), `${secret} is in the report:\n${report}`);
    // The verdicts stay when one comes back.
    await page.reload();
    await check('ports').getByText('comes back answered').waitFor();
    for (const [language, words] of [['fr', 'Diagnostic'], ['fa', 'پزشک']]) {
      await page.goto(node.address + '#/settings/app');
      await page.getByRole('combobox').first().selectOption(language);
      await page.goto(node.address + '#/doctor');
      await page.getByRole('heading', { name: words, exact: true }).waitFor();
      await settled(page);
      await accessible(page, 'the doctor in ' + language);
    }
    await picture(page, 'doctor-persian');
    const missing = await page.locator('main').getByText(/doctor\.|[a-z]+_[a-z]+/).count();
    expect(missing === 0, 'codes instead of words');
    await page.goto(node.address + '#/settings/app');
    await page.getByRole('combobox').first().selectOption('en');
  });

  await step('where the node begins is chosen, and stays', async () => {
    await page.goto(node.address + '#/settings/network');
    const hosts = page.getByRole('textbox', { name: 'One host a line' });
    await hosts.waitFor();
    expect((await hosts.inputValue()) === dht.address, 'another list');
    await page.getByText('started with a list on the command line').waitFor();
    await accessible(page, 'the network settings');
    await narrow('the network settings');
    await hosts.fill('http://nowhere');
    await page.getByRole('button', { name: 'Save' }).first().click();
    await page.getByRole('alert').filter({ hasText: 'is no host' }).waitFor();
    await hosts.fill(dht.address + '\n127.0.0.1:9');
    await page.getByRole('button', { name: 'Save' }).first().click();
    await page.getByRole('button', { name: 'Back to the usual ones' }).waitFor();
    await page.reload();
    expect((await hosts.inputValue()) === dht.address + '\n127.0.0.1:9', 'not kept');
    await page.getByRole('button', { name: 'Back to the usual ones' }).click();
    await page.getByRole('button', { name: 'Back to the usual ones' }).waitFor({ state: 'hidden' });
    await picture(page, 'network-light');
  });

  await step('somebody nearby is seen, asked and answers', async () => {
    await page.goto(node.address + '#/');
    await switcher.click();
    await page.locator('.accounts button', { hasText: 'The shop' }).click();
    await page.locator('.brand', { hasText: 'The shop' }).waitFor();
    await page.goto(node.address + '#/new/person');
    const near = page.getByRole('region', { name: 'People nearby' });
    await near.getByRole('button', { name: 'Look for people nearby' }).click();
    await near.getByText('Nobody yet.').waitFor();
    await accessible(page, 'nobody nearby');
    await zuri.ask('PUT', '/network/local', { on: true });
    await zuri.ask('PATCH', others.zuri.path + '/nearby', { shown: true });
    await near.getByText(others.zuri.id).waitFor(T);
    await accessible(page, 'somebody nearby');
    await narrow('somebody nearby');
    await picture(page, 'nearby-light');
    // One is seen only when one wants to.
    expect((await zuri.ask('GET', others.zuri.path + '/nearby')).people.length === 0, 'seen without wanting to');
    await near.getByRole('checkbox', { name: 'Show me to people nearby' }).check();
    await until(async () => (await zuri.ask('GET', others.zuri.path + '/nearby')).people.some((one) => one.id === second && one.name === 'The shop'), 'the shop at Zuri');
    await near.getByRole('button', { name: 'Ask to talk: Zuri' }).click();
    await page.getByText('has not accepted yet').waitFor();
    const [request] = await until(async () => {
      const all = (await zuri.ask('GET', others.zuri.path + '/requests')).filter((one) => one.from === second);
      return all.length ? all : null;
    }, 'the request of the shop');
    await zuri.ask('POST', `${others.zuri.path}/requests/${request.conversation}/accept`);
    await page.getByText('has not accepted yet').waitFor({ state: 'hidden', ...T });
    await page.goto(node.address + '#/settings/network');
    await page.getByRole('checkbox', { name: /^Find nodes and people/ }).uncheck();
    await page.goto(node.address + '#/new/person');
    await near.getByRole('button', { name: 'Look for people nearby' }).waitFor();
    await switcher.click();
    await page.locator('.accounts button', { hasText: 'Amina' }).click();
    await page.locator('.brand', { hasText: 'Amina' }).waitFor();
  });

  await step('a whole backup is made, and restored at the first run of a new node', async () => {
    const backup = join(directory, 'all.backup');
    await page.goto(node.address + '#/settings/backup');
    await page.getByRole('textbox', { name: 'New file' }).fill(backup);
    await page.locator('#bpassword').fill('sahani ya chai');
    await page.getByRole('button', { name: 'Make the backup' }).click();
    await page.getByText(/^Made: /).waitFor(T);
    expect(existsSync(backup), 'there is no backup');
    // The same device must not run twice.
    await node.stop();
    const fresh = await Node.start('again', dht.address, 8335, 4314);
    const next = await (await chromium.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', reducedMotion: 'reduce' })).newPage();
    pages.add(next);
    watch(next);
    await next.goto(fresh.login());
    await next.getByRole('button', { name: /^Restore from a file/ }).click();
    await accessible(next, 'restoring');
    await next.locator('#archive').setInputFiles(backup);
    await next.locator('#archive-kind', { hasText: 'The backup of a whole node' }).waitFor();
    await next.locator('#rpassword').fill('not this one');
    await next.getByRole('button', { name: 'Restore', exact: true }).click();
    await next.getByRole('alert').filter({ hasText: 'password' }).waitFor(T);
    await accessible(next, 'restoring with a wrong password');
    await next.locator('#rpassword').fill('sahani ya chai');
    await next.getByRole('button', { name: 'Restore', exact: true }).click();
    // The node has started again; the page went on by itself.
    await next.getByRole('link', { name: /The market/ }).waitFor({ timeout: 90_000 });
    await next.getByRole('link', { name: /The market/ }).click();
    await bubble('Prices are up', next).waitFor(T);
    await next.getByRole('textbox', { name: /^Message to/ }).fill('Here again');
    await next.keyboard.press('Enter');
    await until(() => heard(others.zuri, group, 'Here again'), 'the text of the restored node at Zuri', 120);
    expect((await fresh.ask('GET', '/accounts')).length === 2, 'not all accounts');
    // Where there are accounts, nothing is restored.
    await next.goto(fresh.address + '#/welcome');
    await next.getByRole('button', { name: /^Restore from a file/ }).click();
    await next.locator('#archive').setInputFiles(backup);
    await next.getByText('There are accounts on this node').waitFor();
    expect(await next.getByRole('button', { name: 'Restore', exact: true }).isDisabled(), 'it could be restored');
    await accessible(next, 'restoring where accounts are');
  });

  await step('nothing went wrong in the pages', async () => {
    expect(problems.length === 0, problems.slice(0, 5).join('\n'));
  });
  good = summary();
} finally {
  end();
}
setTimeout(() => process.exit(good ? 0 : 1), 1500);
