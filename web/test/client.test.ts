import { expect, test } from 'vitest';
import { errorOf, query } from '../src/api/client';

test('errors of both forms are understood', () => {
  const problem = errorOf(422, { type: 'about:blank', title: 'Unprocessable', status: 422, detail: 'the text is too long', code: 'invalid', hint: 'shorten it' });
  expect(problem).toMatchObject({ status: 422, code: 'invalid', message: 'the text is too long', hint: 'shorten it' });
  const older = errorOf(404, { error: { code: 'no_such_contact', message: 'there is no such contact' } });
  expect(older).toMatchObject({ status: 404, code: 'no_such_contact', message: 'there is no such contact', hint: '' });
  expect(errorOf(502, '<html>')).toMatchObject({ code: 'unknown', message: 'HTTP 502' });
  expect(errorOf(500, null)).toMatchObject({ message: 'HTTP 500' });
});

test('queries leave out what is not given', () => {
  expect(query({ a: undefined })).toBe('');
  expect(query({ text: 'a b&c', limit: 3, more: undefined })).toBe('?text=a+b%26c&limit=3');
});
