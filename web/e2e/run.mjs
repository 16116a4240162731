// `make e2e`: the app in Debian's Chromium, on real nodes, with real Jami daemons as the others.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { accessible, expect, pages, picture, settled, step, summary, until } from './report.mjs';
import { browser, Dht, directory, end, Jami, Node, sandbox } from './world.mjs';

await sandbox();
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => (end(), process.exit(1)));
const T = { timeout: 60_000 };
let good = false;
try {
  const dht = await Dht.start();
  const [node, dora, bob, carol, chromium] = await Promise.all([Node.start('amina', dht.address, 8322, 4301), Node.start('dora', dht.address, 8324, 4303), Jami.start('bob', 'Bob'), Jami.start('carol', 'Carol'), browser()]);
  const context = await chromium.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', timezoneId: 'Africa/Nairobi', reducedMotion: 'reduce', permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  pages.add(page);
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (line) => line.type() === 'error' && !/ERR_CONNECTION|WebSocket connection|status of (401|404)/.test(line.text()) && problems.push(line.text()));
  page.setDefaultTimeout(20_000);
  const main = page.locator('main');
  const bubble = (text, on = page) => on.locator('.bubble', { hasText: text });
  const say = async (text) => {
    await page.getByRole('textbox', { name: /^Message to/ }).fill(text);
    await page.keyboard.press('Enter');
  };
  const menuOf = async (text) => {
    await bubble(text).last().hover();
    await page.locator('.message', { hasText: text }).last().getByRole('button', { name: 'More about this message' }).click();
  };
  const toList = () => page.goto(node.address + '#/');
  let me = '';
  await Promise.all([bob.ask('set_profile', { name: 'Bob' }), carol.ask('set_profile', { name: 'Carol' })]);

  await step('without a session, the page says how to sign in', async () => {
    await page.goto(node.address);
    await page.getByRole('heading', { name: 'Sign in to your node' }).waitFor();
    await accessible(page, 'sign-in');
    await page.getByRole('textbox', { name: 'Code or address' }).fill('nonsense');
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('alert').filter({ hasText: /wrong|refused|code/ }).waitFor();
  });

  await step('first run: an account, with progress, and the notice of backups', async () => {
    await page.goto('about:blank');
    await page.goto(node.login());
    await page.getByRole('heading', { name: 'Take a seat' }).waitFor();
    expect(!page.url().includes('login='), 'the code is still in the address');
    await accessible(page, 'first run');
    await picture(page, 'welcome-light');
    await page.getByRole('button', { name: /^Create an account/ }).click();
    await page.getByRole('textbox', { name: 'Your name' }).fill('Amina');
    await accessible(page, 'create an account');
    await page.getByRole('button', { name: 'Create the account' }).click();
    await page.getByText('Making keys').or(page.getByRole('heading', { name: 'A username, if you like' })).first().waitFor(T);
    await page.getByRole('button', { name: 'Go on without one' }).click(T);
    await page.getByRole('heading', { name: 'Your account is ready' }).waitFor(T);
    await page.getByText('nobody can give it back').waitFor();
    await accessible(page, 'the notice of backups');
    const copy = page.waitForEvent('download');
    await page.getByRole('textbox', { name: 'Password for the copy' }).fill('sahani ya chai');
    await page.getByRole('button', { name: 'Save the copy' }).click();
    expect((await copy).suggestedFilename().startsWith('baraza-Amina'), 'another name');
    await page.getByText('Nobody sits here yet').waitFor();
    await accessible(page, 'the empty list');
  });

  await step('own code', async () => {
    await page.goto(node.address + '#/new/me');
    me = (await page.locator('[data-jami-id]').textContent()).trim();
    expect(/^[0-9a-f]{40}$/.test(me), me);
    await page.getByRole('img', { name: /^QR code/ }).waitFor();
    await accessible(page, 'own code');
  });

  let chat = '';
  await step('to the first message: a Jami user is added and answers', async () => {
    await page.getByRole('link', { name: 'A person', exact: true }).click();
    await page.getByRole('textbox', { name: 'Jami ID or username' }).fill('jami:' + bob.jami_id);
    await accessible(page, 'a new person');
    await page.getByRole('button', { name: 'Ask to talk' }).click();
    await page.getByText('has not accepted yet').waitFor();
    chat = new URL(page.url()).hash.split('/')[2];
    const request = await bob.ask('wait_request', { timeout: 90 }, 100);
    expect(request.conversation === chat, 'another conversation');
    await bob.ask('accept_request', { conversation: chat, timeout: 90 }, 100);
    await page.getByText('has not accepted yet').waitFor({ state: 'hidden', ...T });
    await say('Karibu! Sit down, the **coffee** is ready: https://example.org/bench');
    await bob.ask('wait_message', { body: 'Karibu! Sit down, the **coffee** is ready: https://example.org/bench', timeout: 90 }, 100);
    await page.locator('.mine .tick', { hasText: /Arrived|Read/ }).first().waitFor(T);
    await bob.ask('send_message', { conversation: chat, body: 'Asante! I am on my way.' });
    await bubble('Asante! I am on my way.').waitFor(T);
    await page.locator('.title', { hasText: 'Bob' }).waitFor(T);
    expect((await page.locator('.bubble strong').first().textContent()) === 'coffee', 'no Markdown');
    await accessible(page, 'a conversation');
  });

  await step('edit, reply, react, delete', async () => {
    await say('See you at foru');
    await menuOf('See you at foru');
    await accessible(page, 'the menu of a message');
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    await page.getByRole('textbox', { name: /^Message to/ }).fill('See you at four');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await bubble('See you at four').getByRole('button', { name: 'edited' }).click();
    await page.getByRole('dialog').getByText('See you at foru').waitFor();
    await accessible(page, 'earlier wordings');
    await page.keyboard.press('Escape');
    await bubble('Asante! I am on my way.').hover();
    await page.locator('.message', { hasText: 'Asante! I am on my way.' }).first().getByRole('button', { name: 'Reply' }).click();
    await say('Bring some mandazi');
    await bubble('Bring some mandazi').locator('.quote', { hasText: 'Asante!' }).waitFor();
    await menuOf('Asante! I am on my way.');
    await page.getByRole('button', { name: 'React with ❤️' }).click();
    await page.locator('.reactions button', { hasText: '❤️' }).waitFor();
    await say('Never mind this one');
    await menuOf('Never mind this one');
    await page.getByRole('button', { name: 'Delete for everybody' }).click();
    await page.getByText('Message deleted').first().waitFor();
    await bob.ask('wait_message', { body: 'Bring some mandazi', timeout: 60 }, 70);
  });

  await step('delivery, with each device', async () => {
    await menuOf('Bring some mandazi');
    await page.getByRole('button', { name: 'Delivery' }).click();
    await page.getByRole('dialog').getByText('has it').waitFor(T);
    await accessible(page, 'delivery');
    await page.keyboard.press('Escape');
  });

  await step('a file to Jami, a picture from Jami', async () => {
    const notes = join(directory, 'notes for bob.txt');
    writeFileSync(notes, 'Sugar, tea, cardamom.\n'.repeat(2000));
    await page.locator('form.composer input[type=file]').setInputFiles(notes);
    await page.locator('.file', { hasText: 'notes for bob.txt' }).waitFor(T);
    const { message: offer } = await bob.ask('wait_message', { conversation: chat, type: 'application/data-transfer+json', timeout: 60 }, 70);
    const there = join(directory, 'with-bob.txt');
    await bob.ask('accept_file', { conversation: chat, message: offer.id, file: offer.fileId, path: there, timeout: 60 }, 70);
    await until(() => readFileSync(there).equals(readFileSync(notes)), 'the file at the other end');
    const painter = await context.newPage();
    await painter.setContent(`<svg xmlns="http://www.w3.org/2000/svg" width="640" height="420"><defs><linearGradient id="s" x2="0" y2="1"><stop stop-color="#f6b98a"/><stop offset="1" stop-color="#fbe6c9"/></linearGradient></defs>
      <rect width="640" height="420" fill="url(#s)"/><circle cx="460" cy="190" r="52" fill="#f0784a"/><rect y="240" width="640" height="110" fill="#1c8f86"/><path d="M0 340q160-34 320 0t320-8v90H0z" fill="#ecd3a4"/>
      <path d="M150 262h130l-26 26h-84z" fill="#5a3a22"/><path d="M206 258V120c44 30 78 84 84 124z" fill="#fff7e8"/><path d="M206 258V90" stroke="#5a3a22" stroke-width="5"/></svg><style>body{margin:0}</style>`);
    const picked = await painter.screenshot({ clip: { x: 0, y: 0, width: 640, height: 420 } });
    await painter.close();
    const path = join(directory, 'beach.png');
    writeFileSync(path, picked);
    await bob.ask('send_file', { conversation: chat, path, name: 'beach.png' });
    await page.getByRole('button', { name: 'Enlarge beach.png' }).waitFor(T);
    await page.getByRole('button', { name: 'Enlarge beach.png' }).click();
    await page.getByRole('dialog', { name: 'beach.png' }).waitFor();
    await page.keyboard.press('Escape');
    const saved = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Save beach.png' }).click();
    const content = readFileSync(await (await saved).path());
    expect(content.equals(picked), 'the file is another one');
  });

  let withCarol = '';
  await step('a request from Jami is accepted in the app', async () => {
    await carol.ask('send_request', { to: me, text: 'It is Carol' });
    await page.getByRole('heading', { name: 'Requests' }).waitFor(T);
    await page.getByRole('link', { name: /Wants to talk/ }).click();
    await page.getByRole('button', { name: 'Accept' }).waitFor();
    await accessible(page, 'a request');
    await page.getByRole('button', { name: 'Accept' }).click();
    await page.getByRole('textbox', { name: /^Message to/ }).waitFor({ timeout: 90_000 });
    withCarol = new URL(page.url()).hash.split('/')[2];
    await carol.ask('wait_member', { conversation: withCarol, jami_id: me, timeout: 60 }, 70).catch(() => {});
    await carol.ask('send_message', { conversation: withCarol, body: 'Hello from Carol' });
    await bubble('Hello from Carol').waitFor(T);
  });

  await step('what others write is text, whatever it looks like', async () => {
    const hostile = '<img src=x onerror="window.broken=1"><script>window.broken=1</scr' + 'ipt> [go](javascript:window.broken=1) **<b>bold</b>**';
    await carol.ask('send_message', { conversation: withCarol, body: hostile });
    await bubble('<img src=x onerror=').waitFor(T);
    const path = join(directory, 'hostile');
    writeFileSync(path, '<svg xmlns="http://www.w3.org/2000/svg" onload="window.broken=1"/>');
    await carol.ask('send_file', { conversation: withCarol, path, name: '<b onmouseover=window.broken=1>.svg' });
    await page.locator('.file', { hasText: '<b onmouseover=' }).waitFor(T);
    expect((await page.evaluate(() => window.broken)) === undefined, 'a script of a message ran');
    expect((await page.locator('.bubble img, .bubble b').evaluateAll((all) => all.filter((one) => !one.closest('.picture')).length)) === 0, 'a message became HTML');
    expect((await page.locator('a[href^="javascript"]').count()) === 0, 'a link to a script');
    expect((await page.getByRole('button', { name: /^Enlarge <b/ }).count()) === 0, 'a picture that holds scripts is shown');
    await carol.ask('send_message', { conversation: withCarol, body: 'Friday after the rain, then.' });
    await bubble('Friday after the rain, then.').waitFor(T);
  });

  let group = '';
  await step('a group of three: this one, a Jami user and another node', async () => {
    const there = '/accounts/' + (await dora.ask('POST', '/accounts', { display_name: 'Dora' })).account;
    const doraId = (await dora.ask('GET', there)).jami_id;
    await page.goto(node.address + '#/new/person');
    await page.getByRole('textbox', { name: 'Jami ID or username' }).fill(doraId);
    await page.getByRole('button', { name: 'Ask to talk' }).click();
    const [request] = await until(async () => (await dora.ask('GET', there + '/requests')).length && dora.ask('GET', there + '/requests'), 'the request at Dora');
    await dora.ask('POST', `${there}/requests/${request.conversation}/accept`);
    await page.getByText('has not accepted yet').waitFor({ state: 'hidden', ...T });
    const named = async () => (await node.ask('GET', `/accounts/${me}/contacts/${doraId}/profile`)).name === 'Dora';
    await until(named, 'the profile of Dora', 15);
    await page.locator('.title', { hasText: 'Dora' }).waitFor(T);
    await page.goto(node.address + '#/new/group');
    await page.getByRole('textbox', { name: 'Title of the group' }).fill('The bench');
    for (const name of ['Bob', 'Dora']) await page.getByRole('checkbox', { name }).check();
    await accessible(page, 'a new group');
    await page.getByRole('button', { name: 'Make the group' }).click();
    await page.locator('.title', { hasText: 'The bench' }).waitFor();
    group = new URL(page.url()).hash.split('/')[2];
    await until(async () => (await bob.ask('requests')).some((one) => (one.id ?? one.conversation ?? one.conversationId) === group), 'an invitation');
    await bob.ask('accept_request', { conversation: group, timeout: 90 }, 100);
    await page.locator('.happened', { hasText: 'Bob joined' }).waitFor(T);
    await until(async () => (await dora.ask('GET', there + '/requests')).some((one) => one.conversation === group), 'the invitation of Dora');
    await dora.ask('POST', `${there}/requests/${group}/accept`);
    await page.locator('.happened', { hasText: 'Dora joined' }).waitFor(T);
    await say('Who brings the board for bao?');
    const heard = async () => (await dora.ask('GET', `${there}/conversations/${group}/entries`)).entries.some((entry) => entry.body === 'Who brings the board for bao?');
    await until(heard, 'the message at Dora');
    // The daemon of 2023 forgets a notice that comes while it fetches; the next one wakes it.
    await until(async () => {
      if (await bob.ask('wait_message', { body: 'Who brings the board for bao?', timeout: 15 }, 25).catch(() => null)) return true;
      await say('Anybody?');
      return false;
    }, 'the message at Bob', 90);
    await bob.ask('send_message', { conversation: group, body: 'I do. And my cousin plays, too.' });
    await bubble('I do. And my cousin plays, too.').waitFor(T);
    await dora.ask('POST', `${there}/conversations/${group}/messages`, { body: 'Then I bring the tea.' });
    await bubble('Then I bring the tea.').waitFor(T);
    await page.getByRole('link', { name: /^The bench.*Details/s }).click();
    await page.getByRole('heading', { name: 'Members' }).waitFor();
    await page.locator('aside').getByText('Admin', { exact: true }).waitFor();
    await accessible(page, 'a group');
    await picture(page, 'group-light');
    await page.locator('aside').getByRole('link', { name: 'Close' }).click();
  });

  await step('search, with a jump', async () => {
    await toList();
    await page.getByRole('searchbox', { name: 'Search everywhere' }).fill('mandazi');
    await page.keyboard.press('Enter');
    await main.getByRole('link', { name: /mandazi/ }).click();
    await page.locator('.marked', { hasText: 'Bring some mandazi' }).waitFor();
    await page.goto(node.address + '#/search/all/bench');
    await main.locator('mark').first().waitFor();
    await accessible(page, 'search');
  });

  await step('offline, then delivered', async () => {
    await page.goto(node.address + '#/c/' + chat);
    await bob.ask('link', { up: false });
    await say('Are you still there?');
    await page.locator('.message', { hasText: 'Are you still there?' }).locator('.tick', { hasText: 'On the way' }).waitFor();
    await page.waitForTimeout(4000);
    expect((await page.locator('.message', { hasText: 'Are you still there?' }).locator('.tick', { hasText: 'On the way' }).count()) === 1, 'it arrived without a cable');
    await accessible(page, 'a message on the way');
    await bob.ask('link', { up: true });
    await page.locator('.message', { hasText: 'Are you still there?' }).locator('.tick', { hasText: /Arrived|Read/ }).waitFor({ timeout: 150_000 });
  });

  await step('the node restarts under the open page: nothing typed is lost', async () => {
    const field = page.getByRole('textbox', { name: /^Message to/ });
    await field.fill('half a thou');
    await node.stop();
    await page.getByText('The node is away').waitFor(T);
    expect((await field.inputValue()) === 'half a thou', 'the draft is gone');
    await field.fill('Written while the node was away');
    await page.keyboard.press('Enter');
    await page.locator('.waiting', { hasText: 'Written while the node was away' }).waitFor();
    await field.fill('and a draft');
    // Loaded again, the app opens without the node, and waits for it.
    await page.reload();
    await page.getByText('The node does not answer').waitFor();
    await node.start();
    await bubble('Written while the node was away').waitFor(T);
    await bob.ask('wait_message', { body: 'Written while the node was away', timeout: 120 }, 130);
    expect((await bubble('Written while the node was away').count()) === 1, 'sent twice');
    await page.reload();
    await page.waitForFunction(() => document.querySelector('textarea')?.value === 'and a draft');
    await page.getByRole('textbox', { name: /^Message to/ }).fill('');
  });

  await step('a second device is linked by its code', async () => {
    const other = await Node.start('tablet', dht.address, 8323, 4302);
    const tablet = await (await chromium.newContext({ viewport: { width: 390, height: 780 }, locale: 'en-GB', reducedMotion: 'reduce' })).newPage();
    pages.add(tablet);
    tablet.setDefaultTimeout(30_000);
    await tablet.goto(other.login());
    await tablet.getByRole('button', { name: /^Link this device/ }).click();
    const token = (await tablet.locator('[data-token]').textContent(T)).trim();
    expect(token.startsWith('jami-auth://'), token);
    await accessible(tablet, 'linking this device');
    await page.goto(node.address + '#/settings/devices');
    await page.getByRole('button', { name: 'Link a device' }).click();
    await page.getByRole('textbox', { name: 'Linking code' }).fill(token);
    await accessible(page, 'linking another device');
    await page.getByRole('button', { name: 'Connect' }).click();
    await page.getByRole('button', { name: 'Give it the account' }).click(T);
    await tablet.getByRole('button', { name: 'Yes, this is my account' }).click(T);
    await page.getByText('The device is linked.').waitFor({ timeout: 120_000 });
    await tablet.getByRole('link', { name: /The bench/ }).waitFor({ timeout: 120_000 });
    await tablet.getByRole('link', { name: /The bench/ }).click();
    await bubble('Who brings the board for bao?', tablet).waitFor({ timeout: 120_000 });
    await accessible(tablet, 'a conversation on a phone');
    await picture(tablet, 'phone-light');
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click();
    await accessible(page, 'devices');
    pages.delete(tablet);
    await tablet.context().close();
    await other.stop();
  });

  await step('all other views are accessible', async () => {
    for (const view of ['settings', 'settings/profile', 'settings/app', 'settings/privacy', 'settings/names', 'settings/network', 'settings/backup', 'settings/account', 'status', `c/${chat}/info`, `person/${bob.jami_id}`]) {
      await page.goto(node.address + '#/' + view);
      await page.locator('main h1, aside h1').first().waitFor();
      await settled(page);
      await accessible(page, view);
    }
    await page.goto(node.address + '#/status');
    await page.getByText('All is well').or(page.getByText('something to look at')).or(page.getByText('Something is wrong')).waitFor();
    await picture(page, 'status-light');
  });

  await step('the main journey with the keyboard alone', async () => {
    await toList();
    await page.reload();
    await page.getByRole('link', { name: /The bench/ }).waitFor();
    const press = (key) => page.keyboard.press(key);
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '');
    const tabTo = async (what, most = 25) => {
      for (let count = 0; count < most; count++) {
        if (what.test(await focused())) return;
        await press('Tab');
      }
      throw new Error(`no way to ${what} by Tab; at: ${await focused()}`);
    };
    await page.evaluate(() => document.body.focus());
    await press('Tab');
    expect(/Skip/.test(await focused()), 'no link that skips');
    await tabTo(/Bob|Carol|Dora|The bench/);
    for (let count = 0; count < 5 && !/The bench/.test(await focused()); count++) await press('ArrowDown');
    await press('Home');
    for (let count = 0; count < 5 && !/The bench/.test(await focused()); count++) await press('ArrowDown');
    await press('Enter');
    await page.locator('.title', { hasText: 'The bench' }).waitFor();
    await tabTo(/^Message to The bench/, 40);
    await page.keyboard.type('By keyboard alone');
    await press('Enter');
    await bubble('By keyboard alone').waitFor();
    await page.keyboard.down('Shift');
    for (let count = 0; count < 12 && !(await page.evaluate(() => document.activeElement?.matches('li[data-id]'))); count++) await press('Tab');
    await page.keyboard.up('Shift');
    await press('End');
    await press('Enter');
    // The menu opens with its first button in focus, a moment later.
    await page.waitForFunction(() => /React with 👍/.test(document.activeElement?.getAttribute('aria-label') ?? ''));
    await press('Enter');
    await page.locator('.reactions button', { hasText: '👍' }).waitFor();
  });

  await step('dark', async () => {
    await page.goto(node.address + '#/settings/app');
    await page.getByRole('combobox', { name: 'Colours' }).selectOption('dark');
    await page.goto(node.address + '#/c/' + chat);
    await bubble('Bring some mandazi').waitFor();
    await accessible(page, 'a conversation in the dark');
    await picture(page, 'conversation-dark');
    await page.goto(node.address + '#/settings');
    await page.getByRole('heading', { name: 'Settings' }).waitFor();
    await accessible(page, 'settings in the dark');
    await picture(page, 'settings-dark');
    await page.goto(node.address + '#/settings/app');
    await page.getByRole('combobox', { name: 'Colours' }).selectOption('light');
    await page.getByRole('checkbox', { name: 'High contrast' }).check();
    await page.goto(node.address + '#/c/' + chat);
    await bubble('Bring some mandazi').waitFor();
    await accessible(page, 'a conversation in high contrast');
    await picture(page, 'conversation-contrast');
    await page.goto(node.address + '#/settings/app');
    await page.getByRole('checkbox', { name: 'High contrast' }).uncheck();
    await page.goto(node.address + '#/c/' + chat);
    await bubble('Bring some mandazi').waitFor();
    await picture(page, 'conversation-light');
  });

  await step('Persian: everything is mirrored', async () => {
    const before = await page.locator('nav').boundingBox();
    expect(before.x === 0, 'the list is not at the left');
    await page.goto(node.address + '#/settings/app');
    await page.getByRole('combobox', { name: 'Language' }).selectOption('fa');
    await page.getByRole('heading', { name: 'این برنامه' }).waitFor();
    expect((await page.evaluate(() => document.documentElement.dir)) === 'rtl', 'not from right to left');
    const after = await page.locator('nav').boundingBox();
    expect(Math.round(after.x + after.width) === 1280, 'the list is not at the right');
    await page.goto(node.address + '#/c/' + chat);
    await bubble('Bring some mandazi').waitFor();
    const time = await page.locator('.foot time').first().textContent();
    expect(/[۰-۹]/.test(time), `no Persian digits: ${time}`);
    await accessible(page, 'a conversation in Persian');
    await picture(page, 'conversation-persian');
    await page.goto(node.address + '#/c/' + group + '/info');
    await page.locator('aside').waitFor();
    await accessible(page, 'a group in Persian');
    await picture(page, 'group-persian');
    await page.goto(node.address + '#/settings/app');
    await page.getByRole('combobox').first().selectOption('en');
  });

  await step('a narrow phone of 320 pixels: nothing sticks out', async () => {
    await page.setViewportSize({ width: 320, height: 640 });
    for (const view of ['', `c/${chat}`, `c/${group}/info`, 'new', 'new/me', 'settings', 'settings/devices', 'settings/backup', 'status', 'search/all/bench']) {
      await page.goto(node.address + '#/' + view);
      await settled(page);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide <= 320, `${view} is ${wide} wide`);
    }
    await toList();
    await page.getByRole('link', { name: /The bench/ }).waitFor();
    await accessible(page, 'the list on a phone');
    await picture(page, 'list-phone');
  });

  await step('nothing went wrong in the page', async () => {
    expect(problems.length === 0, problems.slice(0, 5).join('\n'));
  });
  good = summary();
} finally {
  end();
}
setTimeout(() => process.exit(good ? 0 : 1), 1500);
