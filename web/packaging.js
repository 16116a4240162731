// What the node needs of a build: a service worker that knows the files, and each text file
// compressed beside itself.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';

const TEXT = /\.(html|js|css|svg|json|webmanifest)$/;

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? files(path) : [path];
  });
}

export function packaging() {
  let out = 'dist/app';
  return {
    name: 'baraza-packaging',
    apply: 'build',
    configResolved(config) {
      out = config.build.outDir;
    },
    closeBundle() {
      const names = files(out)
        .filter((path) => !path.endsWith('.gz') && !path.endsWith('sw.js'))
        .map((path) => '/' + relative(out, path).replaceAll('\\', '/'))
        .sort();
      const hash = createHash('sha256');
      for (const name of names) hash.update(name).update(readFileSync(join(out, name)));
      const worker = readFileSync('src/sw.js', 'utf8')
        .replace('"VERSION"', JSON.stringify(hash.digest('hex').slice(0, 16)))
        .replace('["FILES"]', JSON.stringify(['/', ...names.filter((name) => name !== '/index.html')]));
      writeFileSync(join(out, 'sw.js'), worker);
      for (const path of files(out).filter((path) => TEXT.test(path))) {
        const packed = gzipSync(readFileSync(path), { level: 9 });
        writeFileSync(path + '.gz', packed);
      }
    },
  };
}
