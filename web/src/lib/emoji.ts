/** For reactions at once. */
export const QUICK = ['👍', '❤️', '😂', '😮', '😢', '🙏'];
/** A few of each kind: the keyboard of the system has them all. */
export const EMOJI =
  '😀 😄 😁 😆 😅 😂 🤣 😊 😇 🙂 😉 😍 🥰 😘 😋 😜 🤔 🤗 🤭 🤫 😐 😏 🙄 😌 😴 😷 🤒 😎 🤓 😕 😟 😮 😳 🥺 😢 😭 😱 😤 😡 🥳 👍 👎 👌 ✌️ 🤞 👏 🙌 🙏 💪 👋 🤝 ✍️ ❤️ 🧡 💛 💚 💙 💜 🖤 💔 ✨ 🔥 ⭐ 🌙 ☀️ 🌧️ 🌈 🌊 🌴 🌸 🌻 🍀 🐱 🐶 🦊 🐘 🦁 🐢 🐟 🦋 🍎 🍊 🍋 🍉 🥭 🍅 🍞 🧀 🍚 ☕ 🍵 🎂 🎉 🎁 🎶 ⚽ 🎯 🚲 🚌 🚆 ✈️ ⛵ 🏠 🕌 ⛪ 📷 📱 💻 🔑 📎 📌 ✅ ❌ ❓ ❗ 💯 💤'.split(
    ' ',
  );
